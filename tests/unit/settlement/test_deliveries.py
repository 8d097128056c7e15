"""What a message is taken for before it is read."""

import pytest

from services.settlement.deliveries import is_long
from shared.rabbit.topology import BULK, INQUIRY, SETTLEMENT
from shared.rabbit.wire import Message


@pytest.mark.parametrize(
    ("kind", "queue", "long"),
    [
        ("reconcile", INQUIRY, True),
        ("quote", INQUIRY, False),
        (None, INQUIRY, False),
        ("reconcile", SETTLEMENT, False),
        ("reconcile", BULK, False),
    ],
)
def test_a_day_is_long_where_days_are_told(kind: str | None, queue: str, long: bool) -> None:
    """A sender may name its junk so on any queue: it is refused with the rest of a batch, and keeps nobody waiting."""
    message = Message(1, "", "settle.130100", type=kind, body=b"{}")

    assert is_long(message, queue) is long
