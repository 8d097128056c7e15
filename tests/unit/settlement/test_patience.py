"""When a refusal is believed: not before as much time has passed as a confirm may take."""

import pytest

from services.settlement.patience import ADDRESSES_MAX, PATIENCE_S, Patience
from shared.rabbit.confirms import Receipt
from shared.rabbit.publisher import Outgoing

ANSWER = Outgoing("", "reply.clinic.answers", b"{}")


def test_a_refusal_is_borne_for_a_while() -> None:
    """Counted from the first."""
    patience = Patience()

    borne = [patience.is_asked_for(ANSWER, Receipt.REFUSED, now) for now in (100.0, 100.5, 100.0 + PATIENCE_S)]

    assert borne == [True, True, False]


def test_each_address_is_borne_with_by_itself() -> None:
    """That one is full says nothing of another."""
    patience = Patience()
    patience.is_asked_for(ANSWER, Receipt.REFUSED, 0.0)

    assert patience.is_asked_for(Outgoing("", "reply.other.answers", b"{}"), Receipt.REFUSED, PATIENCE_S)


@pytest.mark.parametrize("receipt", [Receipt.CONFIRMED, Receipt.UNROUTABLE, Receipt.BROKEN])
def test_only_a_refusal_is_borne_and_anything_else_ends_it(receipt: Receipt) -> None:
    """A queue that has taken something is not full any more; one that is gone is another when it comes back."""
    patience = Patience()
    patience.is_asked_for(ANSWER, Receipt.REFUSED, 0.0)

    assert not patience.is_asked_for(ANSWER, receipt, 1.0)
    assert patience.is_asked_for(ANSWER, Receipt.REFUSED, PATIENCE_S)


def test_no_sender_fills_the_memory_with_addresses() -> None:
    """However many refuse."""
    patience = Patience()

    for number in range(ADDRESSES_MAX + 10):
        patience.is_asked_for(Outgoing("", f"reply.clinic.{number}", b"{}"), Receipt.REFUSED, 0.0)

    assert len(patience._since) <= ADDRESSES_MAX  # noqa: SLF001 what it holds is the point
