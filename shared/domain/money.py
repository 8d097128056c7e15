"""Money is whole fen; a yuan is a hundred of them."""

AMOUNT_MIN_FEN = 1
AMOUNT_MAX_FEN = 10**11


def yuan(amount: int) -> str:
    """Fen as yuan for people to read: 123456 -> "1,234.56"."""
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), 100)
    return f"{sign}{whole:,}.{rest:02d}"
