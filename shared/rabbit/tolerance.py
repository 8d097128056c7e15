"""Reading properties that no well-behaved sender writes.

RabbitMQ passes on whatever bytes a sender put into a property. pamqp gives up on those that are not UTF-8 and on
timestamps beyond the calendar, and with it the whole connection: one sloppy message would stop every consumer that
meets it, again and again. Read like this, such a message is only malformed, and what is not UTF-8 is kept as surrogates, as
wire.py does: written again, it is what came, byte for byte.
"""

from datetime import UTC, datetime

from pamqp import decode
from pamqp.common import FieldValue

UNREADABLE_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def short_str(value: bytes) -> tuple[int, str]:
    """A short string; what is not UTF-8 is kept as surrogates."""
    length = value[0]
    return length + 1, value[1 : length + 1].decode("utf-8", errors="surrogateescape")


def timestamp(value: bytes) -> tuple[int, datetime]:
    """A timestamp; one beyond the calendar is the beginning of time."""
    try:
        return _timestamp(value)
    except (ValueError, OverflowError, OSError):
        return 8, UNREADABLE_TIME


def field_table(value: bytes) -> tuple[int, dict[str, FieldValue]]:
    """A table of headers; one that cannot be read is empty."""
    try:
        return _field_table(value)
    except (ValueError, OverflowError, OSError, IndexError, RecursionError):
        return 4 + int.from_bytes(value[:4]), {}


_timestamp = decode.timestamp
_field_table = decode.field_table


def read_tolerantly() -> None:
    """From now on, for every connection of this process."""
    decode.short_str = short_str
    decode.METHODS["shortstr"] = short_str
    decode.METHODS["table"] = field_table
    decode.METHODS["timestamp"] = timestamp
    decode.TABLE_MAPPING[b"T"] = timestamp
