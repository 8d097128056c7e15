"""Which messages the broker has confirmed, refused or returned, a batch at a time."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum

from shared.rabbit.tap import ChannelTap
from shared.rabbit.wire import Confirm, Message


class Receipt(Enum):
    CONFIRMED = "confirmed"
    UNROUTABLE = "unroutable"
    REFUSED = "refused"
    # Not the broker's own word: what it was published to broke the channel.
    BROKEN = "broken"


@dataclass(slots=True)
class Receipts:
    """The receipts of messages published together; `complete` once there is one for each."""

    first_tag: int
    message_ids: list[str]
    complete: asyncio.Future[list[Receipt]]
    receipts: list[Receipt | None] = field(init=False)
    missing: int = field(init=False)

    def __post_init__(self) -> None:
        self.missing = len(self.message_ids)
        self.receipts = [None] * self.missing

    def receive(self, tag: int, receipt: Receipt) -> None:
        place = tag - self.first_tag
        self.receipts[place] = receipt
        self.missing -= 1
        if self.missing == 0 and not self.complete.done():
            self.complete.set_result([each for each in self.receipts if each])


class Confirms:
    """Numbers what is published on one channel, as the broker does, and keeps what it says of each number."""

    def __init__(self, tap: ChannelTap) -> None:
        self._next_tag = 1
        self._waiting: dict[int, Receipts] = {}
        # A returned message is told by its id; its confirm follows.
        self._tags: dict[str, int] = {}
        self._returned: set[int] = set()
        tap.on_ack = lambda confirm: self._received(confirm, Receipt.CONFIRMED)
        tap.on_nack = lambda confirm: self._received(confirm, Receipt.REFUSED)
        tap.on_return = self._on_return

    def expect(self, message_ids: list[str]) -> Receipts:
        """Receipts for messages that are about to be published in this order."""
        expected = Receipts(self._next_tag, message_ids, asyncio.get_running_loop().create_future())
        for message_id in message_ids:
            self._waiting[self._next_tag] = expected
            self._tags[message_id] = self._next_tag
            self._next_tag += 1
        return expected

    def _received(self, confirm: Confirm, receipt: Receipt) -> None:
        tags = [confirm.delivery_tag]
        if confirm.multiple:
            # Zero means all there are. Numbers were given in order, and so they lie.
            up_to = confirm.delivery_tag or self._next_tag
            tags = []
            for tag in self._waiting:
                if tag > up_to:
                    break
                tags.append(tag)
        for tag in tags:
            if (expected := self._waiting.pop(tag, None)) is None:
                continue
            self._tags.pop(expected.message_ids[tag - expected.first_tag], None)
            if tag in self._returned:
                self._returned.discard(tag)
                expected.receive(tag, Receipt.UNROUTABLE)
            else:
                expected.receive(tag, receipt)

    def _on_return(self, message: Message) -> None:
        tag = self._tags.get(message.message_id or "")
        if tag is not None:
            self._returned.add(tag)
