"""A sender's side: one request through the broker, its answer awaited."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiormq.channel import Channel
from pydantic_core import from_json

from shared.messages.signing import SIGNATURE_HEADER
from shared.rabbit import topology
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import close, connect, consume, hosts, open_channel
from shared.rabbit.direct import DIRECT_REPLY
from shared.rabbit.publisher import Outgoing, Publisher
from shared.rabbit.wire import Message


class NoAnswer(Exception):
    """The request was accepted by the broker, and no answer came in time."""


class NotRouted(Exception):
    """The broker has no queue for the request: the topology is not declared."""


class NotTaken(Exception):
    """The broker refused the request: its queue is full, or has no leader at the moment."""


class Client:
    """Sends requests and matches answers to them by correlation id.

    Of no use any more once something was not taken or not confirmed: a channel of RabbitMQ 3.10 that was refused for want of a
    leader is refused for ever.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._publisher = Publisher(channel)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def start(self) -> None:
        await consume(self._channel, DIRECT_REPLY, self._on_answer, no_ack=True)

    async def ask(
        self,
        operation: str,
        region: str,
        body: bytes,
        *,
        timeout_s: float = 30.0,
        user_id: str | None = None,
        signature: str | None = None,
    ) -> dict[str, Any]:
        """The answer to one request.

        Raises NotRouted or NotTaken where the broker does not answer for the request, NoAnswer where it does and no answer comes
        within `timeout_s`, and PublishFailed where it does not say: then it may have the request, which may yet be decided.
        """
        correlation_id = secrets.token_hex(16)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[correlation_id] = answer
        request = Outgoing(
            topology.REQUESTS,
            f"{operation}.{region}",
            body,
            type=operation,
            correlation_id=correlation_id,
            reply_to=DIRECT_REPLY,
            user_id=user_id,
            headers={SIGNATURE_HEADER: signature} if signature else {},
        )
        try:
            (receipt,) = await self._publisher.publish([request])
            if receipt is Receipt.UNROUTABLE:
                raise NotRouted(f"no queue takes {operation}.{region}: is the worker's topology declared?")
            if receipt is not Receipt.CONFIRMED:
                raise NotTaken(
                    f"the broker refused {operation}.{region}: its queue is full or has no leader; ask again under the same id"
                )
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError as error:
            raise NoAnswer(f"no answer to {operation} within {timeout_s:g} s; ask again or look it up") from error
        finally:
            del self._waiting[correlation_id]

    def _on_answer(self, message: Message) -> None:
        waiting = self._waiting.get(message.correlation_id or "")
        if waiting is None or waiting.done():
            return
        try:
            waiting.set_result(from_json(message.body))
        except ValueError:
            waiting.set_exception(NoAnswer("what came as an answer is not JSON"))


@asynccontextmanager
async def client(urls: str, *, name: str) -> AsyncIterator[Client]:
    """A client on a connection of its own."""
    connection = await connect(hosts(urls), name=name)
    try:
        asking = Client(await open_channel(connection, confirms=True))
        await asking.start()
        yield asking
    finally:
        await close(connection)
