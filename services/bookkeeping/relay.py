"""The AMQP edge: events to their exchange."""

from collections.abc import Sequence

from services.bookkeeping.rules import routing_key
from shared.messages.event import AccountEvent, BindingEvent
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import Brokers
from shared.rabbit.lasting import LastingPublisher
from shared.rabbit.publisher import Outgoing
from shared.rabbit.topology import EVENTS


class NotTaken(Exception):
    """A queue refused an event, for it is full or broken; the event is published again later."""


class Relay:
    """Publishes events, each confirmed. One that nobody has asked for is published all the same."""

    def __init__(self, brokers: Sequence[str]) -> None:
        self._publisher = LastingPublisher(Brokers(brokers), name="gongji-bookkeeping")

    async def publish(self, events: Sequence[AccountEvent | BindingEvent]) -> None:
        """Returns once the broker has every one of them. Raises PublishFailed, NotTaken."""
        receipts = await self._publisher.publish([_message(event) for event in events])
        if refused := sum(receipt is Receipt.REFUSED for receipt in receipts):
            # RabbitMQ 3.10 refuses for ever on a channel that came while a queue had no leader.
            await self._publisher.close()
            raise NotTaken(f"{refused} events were refused by a queue bound to {EVENTS}")

    async def connect(self) -> None:
        """Raises PublishFailed where the broker takes no connection."""
        await self._publisher.open()

    async def blocked(self) -> bool:
        """Whether the broker has raised an alarm and takes no events."""
        return await self._publisher.blocked()

    async def close(self) -> None:
        await self._publisher.close()


def _message(event: AccountEvent | BindingEvent) -> Outgoing:
    return Outgoing(
        EVENTS, routing_key(event), event.model_dump_json().encode(), type=event.event, message_id=event.event_id
    )
