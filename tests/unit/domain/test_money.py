"""Money is whole fen."""

import pytest

from shared.domain.money import AMOUNT_MAX_FEN, AMOUNT_MIN_FEN, yuan


def test_amounts_are_from_one_fen_to_a_billion_yuan() -> None:
    """The contract's bounds: 1 to 10^11."""
    assert (AMOUNT_MIN_FEN, AMOUNT_MAX_FEN) == (1, 100_000_000_000)


@pytest.mark.parametrize(
    ("fen", "text"),
    [
        (0, "0.00"),
        (1, "0.01"),
        (10, "0.10"),
        (99, "0.99"),
        (100, "1.00"),
        (123_456, "1,234.56"),
        (100_000_000_000, "1,000,000,000.00"),
        (-1, "-0.01"),
        (-99, "-0.99"),
        (-100, "-1.00"),
        (-123_456, "-1,234.56"),
    ],
)
def test_fen_are_written_as_yuan(fen: int, text: str) -> None:
    """A hundred fen are a yuan; a debit has its sign in front."""
    assert yuan(fen) == text
