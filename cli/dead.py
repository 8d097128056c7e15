"""dead: the messages that were put aside. Look at them, send them again, or let them go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

import typer
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel

from cli.environment import environment
from cli.options import AsJson
from cli.speech import REJECTED, complain, console, print_json
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import close, connect, hosts, open_channel
from shared.rabbit.publisher import Outgoing, Publisher
from shared.rabbit.topology import DEAD, REQUESTS, About

LISTED_MAX = 1_000
ID_LENGTH = 12

app = typer.Typer(help="Dead-lettered messages.", no_args_is_help=True)
LetterId = Annotated[str, typer.Argument(help="An id from `gongji dead list`.")]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. Its id is a digest of what came, so copies of one message have one id."""

    message: DeliveredMessage

    @property
    def letter_id(self) -> str:
        properties = self.message.header.properties
        parts = (self.message.routing_key or "", properties.message_type or "")
        return sha256("\x1f".join(parts).encode() + b"\x1f" + self.message.body).hexdigest()[:ID_LENGTH]

    @property
    def headers(self) -> dict[str, Any]:
        return dict(self.message.header.properties.headers or {})

    @property
    def bytes_left_out(self) -> int:
        """Of the body, where the worker kept only its beginning."""
        left_out: int = self.headers.get(About.BYTES_LEFT_OUT) or 0
        return left_out

    def summary(self) -> dict[str, Any]:
        # What the broker itself writes where the delivery limit put a message aside.
        first: dict[str, Any] = next(iter(self.headers.get("x-death") or []), {})
        return {
            "id": self.letter_id,
            "type": self.message.header.properties.message_type,
            "queue": self.headers.get(About.QUEUE) or first.get("queue"),
            "reason": self.headers.get(About.REASON) or first.get("reason"),
            "problems": self.headers.get(About.PROBLEMS),
            "dead_at": self.headers.get(About.DEAD_AT) or str(first.get("time", "")),
            "bytes": len(self.message.body),
            "bytes_left_out": self.bytes_left_out,
        }


@app.command("list")
def list_letters(as_json: AsJson = False) -> None:
    """List what was put aside, oldest first, without the bodies."""
    letters = asyncio.run(summaries(environment()["GONGJI_AMQP_URL"]))
    if as_json:
        print_json(letters)
        return
    for each in letters:
        size = f"{each['bytes']} bytes" + (f", {each['bytes_left_out']} left out" if each["bytes_left_out"] else "")
        console.print(
            f"{each['id']}  {each['type'] or '-':<10} {each['reason']}: {each['problems'] or ''} ({size})", markup=False
        )
    console.print(f"{len(letters)} dead letter{'' if len(letters) == 1 else 's'}")


@app.command()
def show(letter_id: LetterId, as_json: AsJson = False) -> None:
    """Show one, with its body. The body may hold personal data: mind who looks over your shoulder."""
    found = asyncio.run(_shown(environment()["GONGJI_AMQP_URL"], letter_id))
    if as_json:
        print_json(found)
        return
    for field, value in found.items():
        console.print(f"{field:<14} {value}", markup=False)


@app.command()
def replay(letter_id: LetterId) -> None:
    """Send one again as it came, unless only its beginning was kept. Its answer goes to the institution's results; its
    request id keeps it from being decided twice.
    """
    asyncio.run(_replay(environment()["GONGJI_AMQP_URL"], letter_id))
    console.print(f"sent {letter_id} again")


@app.command()
def discard(
    letter_id: LetterId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Let one go for good."""
    if not yes:
        typer.confirm(f"Discard {letter_id} for good?", abort=True)
    asyncio.run(_discard(environment()["GONGJI_AMQP_URL"], letter_id))
    console.print(f"discarded {letter_id}")


@asynccontextmanager
async def _queue(amqp_url: str) -> AsyncIterator[Channel]:
    """A channel to look at letters on; closing it puts back those that were not dealt with."""
    connection = await connect(hosts(amqp_url), name="gongji-dead")
    try:
        yield await open_channel(connection, confirms=True)
    finally:
        await close(connection)


async def _letters(channel: Channel) -> AsyncIterator[Letter]:
    """Every letter, oldest first. The broker holds them; here is one at a time, for a body may have ten mebibytes."""
    for _ in range(LISTED_MAX):
        message = await channel.basic_get(DEAD, no_ack=False)
        if message.delivery_tag is None:
            return
        yield Letter(message)


async def _one(channel: Channel, letter_id: str) -> Letter:
    async for letter in _letters(channel):
        if letter.letter_id == letter_id:
            return letter
    complain(f"there is no dead letter {letter_id}: see `gongji dead list`")
    raise typer.Exit(REJECTED)


async def summaries(amqp_url: str) -> list[dict[str, Any]]:
    """What is told of each letter, without the bodies."""
    async with _queue(amqp_url) as channel:
        return [letter.summary() async for letter in _letters(channel)]


async def _shown(amqp_url: str, letter_id: str) -> dict[str, Any]:
    async with _queue(amqp_url) as channel:
        letter = await _one(channel, letter_id)
        return {**letter.summary(), "body": letter.message.body.decode("utf-8", errors="backslashreplace")}


async def _replay(amqp_url: str, letter_id: str) -> None:
    async with _queue(amqp_url) as channel:
        letter = await _one(channel, letter_id)
        if letter.bytes_left_out:
            complain(
                f"of {letter_id} only the first {len(letter.message.body)} bytes were kept, {letter.bytes_left_out} were left out: "
                "its sender was told that the whole is malformed and must send it again; the letter stays where it is"
            )
            raise typer.Exit(REJECTED)
        properties = letter.message.header.properties
        again = Outgoing(
            REQUESTS,
            letter.message.routing_key or "",
            letter.message.body,
            type=properties.message_type,
            content_type=properties.content_type,
        )
        (receipt,) = await Publisher(channel).publish([again])
        if receipt is not Receipt.CONFIRMED:
            complain(f"{letter.message.routing_key!r} was {receipt.value}: the letter stays where it is")
            raise typer.Exit(REJECTED)
        await _let_go(channel, letter)


async def _discard(amqp_url: str, letter_id: str) -> None:
    async with _queue(amqp_url) as channel:
        await _let_go(channel, await _one(channel, letter_id))


async def _let_go(channel: Channel, letter: Letter) -> None:
    assert letter.message.delivery_tag is not None
    await channel.basic_ack(letter.message.delivery_tag)
