"""Receipts of messages published together, as the broker confirms them."""

import pytest

from shared.rabbit.confirms import Confirms, Receipt
from shared.rabbit.tap import ChannelTap
from shared.rabbit.wire import Confirm, Message

GOOD, GONE, FULL = Receipt.CONFIRMED, Receipt.UNROUTABLE, Receipt.REFUSED


class Broker:
    """The broker's side of one channel."""

    def __init__(self) -> None:
        self.tap = ChannelTap()
        self.confirms = Confirms(self.tap)

    def acks(self, tag: int, *, multiple: bool = False) -> None:
        assert self.tap.on_ack
        self.tap.on_ack(Confirm(tag, multiple))

    def nacks(self, tag: int, *, multiple: bool = False) -> None:
        assert self.tap.on_nack
        self.tap.on_nack(Confirm(tag, multiple))

    def returns(self, message_id: str) -> None:
        assert self.tap.on_return
        self.tap.on_return(Message(0, "", "", message_id=message_id))


@pytest.fixture
def broker() -> Broker:
    return Broker()


async def test_receipts_are_in_the_order_of_the_messages_whatever_the_order_of_the_confirms(broker: Broker) -> None:
    """A queue may confirm a later one first."""
    receipts = broker.confirms.expect(["a", "b", "c"])

    broker.acks(3)
    broker.nacks(2)
    before = receipts.complete.done()
    broker.acks(1)

    assert before is False
    assert receipts.complete.result() == [GOOD, FULL, GOOD]


async def test_one_confirm_may_stand_for_all_up_to_it(broker: Broker) -> None:
    """Over several batches, and for no message behind it."""
    first, second = broker.confirms.expect(["a", "b"]), broker.confirms.expect(["c", "d"])

    broker.acks(3, multiple=True)

    assert first.complete.result() == [GOOD, GOOD]
    assert second.complete.done() is False


async def test_tag_zero_stands_for_all_that_were_published(broker: Broker) -> None:
    """So AMQP says."""
    receipts = broker.confirms.expect(["a", "b"])

    broker.nacks(0, multiple=True)

    assert receipts.complete.result() == [FULL, FULL]


async def test_a_message_that_was_returned_is_unroutable_though_it_is_confirmed(broker: Broker) -> None:
    """The return comes first, then the confirm."""
    receipts = broker.confirms.expect(["a", "b"])

    broker.returns("b")
    broker.acks(2, multiple=True)

    assert receipts.complete.result() == [GOOD, GONE]


async def test_confirms_nobody_waits_for_are_passed_over(broker: Broker) -> None:
    """A second confirm, a tag never given, a message that is not ours."""
    receipts = broker.confirms.expect(["a"])

    broker.returns("somebody else's")
    broker.acks(9)
    broker.acks(1)
    broker.acks(1)

    assert receipts.complete.result() == [GOOD]


async def test_somebody_who_gave_up_waiting_disturbs_nobody(broker: Broker) -> None:
    """Their confirm comes late."""
    given_up, waiting = broker.confirms.expect(["a"]), broker.confirms.expect(["b"])
    given_up.complete.cancel()

    broker.acks(2, multiple=True)

    assert waiting.complete.result() == [GOOD]
