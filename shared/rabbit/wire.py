"""The few AMQP 0-9-1 frames that come with every message, read and written directly. Pure.

The library builds each frame from its fields' names and types, a hundred steps a message; that was a third of a worker's time
(ADR 12). What comes once in a while is left to it. Source: AMQP 0-9-1, 2.3 "AMQP Wire-Level Format".
"""

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Any

from pamqp import decode, encode

from shared.messages.signing import SIGNATURE_HEADER

METHOD, HEADER, BODY = 1, 2, 3
FRAME_END = b"\xce"
PERSISTENT = 2

BASIC_PUBLISH = b"\x00\x3c\x00\x28"
BASIC_RETURN = b"\x00\x3c\x00\x32"
BASIC_DELIVER = b"\x00\x3c\x00\x3c"
BASIC_ACK = b"\x00\x3c\x00\x50"
BASIC_NACK = b"\x00\x3c\x00\x78"

FRAME_HEAD = Struct(">BHI")
CONTENT_HEAD = Struct(">HHQH")
TAG_AND_BITS = Struct(">QB")
BASIC = 60
MANDATORY = 1
# What is the same in one message after the other is worked out once (ADR 12): the frame of so many places, the properties of so many kinds.
PLACES_MAX, KINDS_MAX = 1_024, 64
OCTETS = [bytes((value,)) for value in range(256)]
SIGNATURE_FIELD = SIGNATURE_HEADER.encode()

# Properties in the order in which they follow their flags. What is kept of a message is named; the rest is passed over.
FLAGS: tuple[tuple[int, str, str | None], ...] = (
    (1 << 15, "text", "content_type"),
    (1 << 14, "text", None),
    (1 << 13, "table", None),
    (1 << 12, "octet", None),
    (1 << 11, "octet", None),
    (1 << 10, "text", "correlation_id"),
    (1 << 9, "text", "reply_to"),
    (1 << 8, "text", None),
    (1 << 7, "text", "message_id"),
    (1 << 6, "moment", None),
    (1 << 5, "text", "type"),
    (1 << 4, "text", "user_id"),
    (1 << 3, "text", None),
    (1 << 2, "text", None),
)
CONTENT_TYPE, HEADERS, DELIVERY_MODE = 1 << 15, 1 << 13, 1 << 12
CORRELATION_ID, REPLY_TO, MESSAGE_ID, TYPE, USER_ID = 1 << 10, 1 << 9, 1 << 7, 1 << 5, 1 << 4


@dataclass(slots=True)
class Message:
    """A message that came: where from, the properties that anybody here looks at, and its body.

    What is not UTF-8 in a property is kept as surrogates and written back byte for byte: one sloppy sender shall not end
    the connection, and still know its own correlation id again.
    """

    delivery_tag: int
    exchange: str
    routing_key: str
    content_type: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    message_id: str | None = None
    type: str | None = None
    user_id: str | None = None
    signature: str | None = None
    body: bytes = b""
    # Of a body that was longer than whoever consumes it keeps.
    bytes_left_out: int = 0


@dataclass(frozen=True, slots=True)
class Confirm:
    """The broker's word on what was published: that tag, or all up to it."""

    delivery_tag: int
    multiple: bool


# ---- read ----


def read_deliver(payload: bytes) -> Message:
    """The method frame before a delivered message: consumer tag, delivery tag, redelivered, exchange, routing key."""
    place = 5 + payload[4]
    tag, _ = TAG_AND_BITS.unpack_from(payload, place)
    exchange, place = _read_text(payload, place + 9)
    routing_key, _ = _read_text(payload, place)
    return Message(tag, exchange, routing_key)


def read_return(payload: bytes) -> Message:
    """The method frame before a returned message: reply code and text, exchange, routing key."""
    place = 7 + payload[6]
    exchange, place = _read_text(payload, place)
    routing_key, _ = _read_text(payload, place)
    return Message(0, exchange, routing_key)


def read_confirm(payload: bytes) -> Confirm:
    tag, bits = TAG_AND_BITS.unpack_from(payload, 4)
    return Confirm(tag, bool(bits & 1))


def read_properties(payload: bytes, message: Message) -> int:
    """Adds a content header's properties to its message. Returns the size of the body in bytes."""
    _, _, body_size, flags = CONTENT_HEAD.unpack_from(payload)
    place, more = CONTENT_HEAD.size, flags
    while more & 1:
        # AMQP allows further flags to follow; no property has one.
        more = int.from_bytes(payload[place : place + 2])
        place += 2
    for kind, name in _told_by(flags):
        if kind == "text":
            end = place + 1 + payload[place]
            if name:
                setattr(message, name, _text_of(payload[place + 1 : end]))
            place = end
        elif kind == "octet":
            place += 1
        elif kind == "moment":
            place += 8
        else:
            end = place + 4 + int.from_bytes(payload[place : place + 4])
            if SIGNATURE_FIELD in payload[place:end]:
                message.signature = _signature_of(payload[place:end])
            place = end
    return int(body_size)


@lru_cache(maxsize=KINDS_MAX)
def _told_by(flags: int) -> tuple[tuple[str, str | None], ...]:
    """The properties that a content header has, in their order."""
    return tuple((kind, name) for flag, kind, name in FLAGS if flags & flag)


def _signature_of(table: bytes) -> str:
    """The one header that anybody here looks at. Of a table that cannot be read, or one of another type: a signature that is none."""
    try:
        _, headers = decode.field_table(table)
    except Exception:  # noqa: BLE001 whatever the library raises for what others wrote
        return "unreadable"
    found = headers.get(SIGNATURE_HEADER)
    return found if isinstance(found, str) else "unreadable"


def _read_text(payload: bytes, place: int) -> tuple[str, int]:
    end = place + 1 + payload[place]
    return _text_of(payload[place + 1 : end]), end


def _text_of(encoded: bytes) -> str:
    return encoded.decode("utf-8", "surrogateescape")


# ---- write ----


def publish(
    channel: int,
    frame_max: int,
    body: bytes,
    *,
    exchange: str,
    routing_key: str,
    mandatory: bool,
    properties: dict[int, str | None],
    headers: dict[str, Any] | None = None,
) -> bytes:
    """The frames that publish one persistent message. `properties` are texts by their flag.

    Raises ValueError for a text of more than 255 bytes.
    """
    told = {flag: _text(value) for flag, value in properties.items() if value} | {DELIVERY_MODE: OCTETS[PERSISTENT]}
    if headers:
        told[HEADERS] = encode.field_table(headers)
    # Each flag once, so their sum is all of them; the highest is written first.
    in_order = [told[flag] for flag in sorted(told, reverse=True)]
    header = b"".join((CONTENT_HEAD.pack(BASIC, 0, len(body), sum(told)), *in_order))
    # A frame_max of 0 means that there is no limit.
    size_max = frame_max - FRAME_HEAD.size - len(FRAME_END) if frame_max else max(len(body), 1)
    bodies = [body[start : start + size_max] for start in range(0, len(body), size_max)]
    return b"".join(
        (
            _where_to(channel, exchange, routing_key, mandatory),
            *(FRAME_HEAD.pack(HEADER, channel, len(header)), header, FRAME_END),
            *(part for each in bodies for part in (FRAME_HEAD.pack(BODY, channel, len(each)), each, FRAME_END)),
        )
    )


@lru_cache(maxsize=PLACES_MAX)
def _where_to(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    """The frame that says where a message goes: one after the other goes to the same few institutions."""
    bits = bytes((MANDATORY if mandatory else 0,))
    method = b"".join((BASIC_PUBLISH, b"\x00\x00", _text(exchange), _text(routing_key), bits))
    return FRAME_HEAD.pack(METHOD, channel, len(method)) + method + FRAME_END


def _text(value: str) -> bytes:
    encoded = value.encode("utf-8", "surrogateescape")
    if len(encoded) > 255:
        raise ValueError(f"a routing key or property has {len(encoded)} bytes; AMQP takes at most 255")
    return OCTETS[len(encoded)] + encoded
