"""Somebody who wants to know: a queue bound to the exchange of events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiormq.abc import DeliveredMessage

from shared.rabbit.connection import close, connect, open_channel
from shared.rabbit.topology import EVENTS


@dataclass
class Listener:
    """What has been heard, in the order in which it came; copies too."""

    events: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def on(cls, amqp_url: str, key: str = "#") -> AsyncIterator["Listener"]:
        listener = cls()
        connection = await connect([amqp_url], name="tests listening")
        channel = await open_channel(connection, confirms=False)
        queue = (await channel.queue_declare(exclusive=True)).queue
        assert queue
        await channel.queue_bind(queue, EVENTS, routing_key=key)
        await channel.basic_consume(queue, listener.hear, no_ack=True)
        yield listener
        await close(connection)

    async def hear(self, message: DeliveredMessage) -> None:
        assert message.header.properties.message_id
        event = orjson.loads(message.body)
        assert event["event_id"] == message.header.properties.message_id
        assert event["event"] == message.header.properties.message_type
        self.events.append(event)
        self.keys.append(message.routing_key or "")

    def names(self) -> list[str]:
        return [event["event"] for event in self.events]

    def first_heard(self) -> dict[str, int]:
        """For each event, its place when it was first heard."""
        places: dict[str, int] = {}
        for place, event in enumerate(self.events):
            places.setdefault(event["event_id"], place)
        return places
