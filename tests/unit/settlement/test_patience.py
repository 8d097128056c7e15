"""When a refusal is believed: not before as much time has passed as a confirm may take."""

import pytest

from services.settlement.patience import ADDRESSES_MAX, PATIENCE_S, Patience
from shared.rabbit.confirms import Receipt
from shared.rabbit.publisher import Outgoing

ANSWER = Outgoing("", "reply.clinic.answers", b"{}")


def test_a_refusal_is_borne_for_a_while() -> None:
    """Counted from the first, as long as it is asked again and again."""
    patience = Patience()

    borne = [patience.is_asked_for(ANSWER, Receipt.REFUSED, now) for now in (100.0, 110.0, 100.0 + PATIENCE_S)]

    assert borne == [True, True, False]


def test_a_refusal_long_after_the_last_is_a_new_one() -> None:
    """Whose answer it was may have gone to another worker, and nobody here has asked since."""
    patience = Patience()

    borne = [patience.is_asked_for(ANSWER, Receipt.REFUSED, now) for now in (0.0, 3_600.0, 3_601.0)]

    assert borne == [True, True, True]


def test_a_queue_that_takes_one_and_refuses_the_next_is_full() -> None:
    """Its owner fetches slowly; nobody waits at that pace."""
    patience = Patience()

    borne = []
    for now in (0.0, 5.0, 10.0, 15.0, 20.0):
        borne.append(patience.is_asked_for(ANSWER, Receipt.REFUSED, now))
        patience.is_asked_for(ANSWER, Receipt.CONFIRMED, now + 1.0)

    assert borne == [True, True, True, False, False]


def test_each_address_is_borne_with_by_itself() -> None:
    """That one is full says nothing of another."""
    patience = Patience()
    patience.is_asked_for(ANSWER, Receipt.REFUSED, 0.0)

    assert patience.is_asked_for(Outgoing("", "reply.other.answers", b"{}"), Receipt.REFUSED, PATIENCE_S)


@pytest.mark.parametrize("receipt", [Receipt.CONFIRMED, Receipt.UNROUTABLE, Receipt.BROKEN])
def test_only_a_refusal_is_borne(receipt: Receipt) -> None:
    """Whatever else becomes of an answer is its end."""
    patience = Patience()
    patience.is_asked_for(ANSWER, Receipt.REFUSED, 0.0)

    assert not patience.is_asked_for(ANSWER, receipt, 1.0)


def test_no_sender_fills_the_memory_with_addresses() -> None:
    """However many refuse."""
    patience = Patience()

    for number in range(ADDRESSES_MAX + 10):
        patience.is_asked_for(Outgoing("", f"reply.clinic.{number}", b"{}"), Receipt.REFUSED, 0.0)

    assert len(patience._refusals) <= ADDRESSES_MAX  # noqa: SLF001 what it holds is the point
