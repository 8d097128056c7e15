"""Properties that cannot be decoded make a message malformed; they do not end a connection."""

import struct

import pytest
from pamqp import frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader

import shared.rabbit.connection  # noqa: F401 it is what makes reading tolerant
from shared.rabbit import wire

FLAG = {
    "message_id": 1 << 7,
    "timestamp": 1 << 6,
    "message_type": 1 << 5,
    "correlation_id": 1 << 10,
    "headers": 1 << 13,
}


def header(flags: int, properties: bytes) -> Basic.Properties:
    """A content header frame as it would come over the wire, decoded."""
    payload = struct.pack(">HHQH", 60, 0, 0, flags) + properties
    data = struct.pack(">BHI", 2, 1, len(payload)) + payload + b"\xce"
    _, _, content = frame.unmarshal(data)
    assert isinstance(content, ContentHeader)
    return content.properties


@pytest.mark.parametrize("name", ["message_id", "message_type", "correlation_id"])
def test_a_property_that_is_not_utf_8_is_read(name: str) -> None:
    """And can be written again as it came, no longer than AMQP takes."""
    properties = header(FLAG[name], b"\xff" + b"\xfe" * 255)

    text = getattr(properties, name)
    assert b"\xff" + b"\xfe" * 255 in wire.publish(
        1, 0, b"", exchange="", routing_key="", mandatory=False, properties={wire.CORRELATION_ID: text}
    )


@pytest.mark.parametrize("value", [10**18, 2**64 - 1])
def test_a_timestamp_beyond_the_calendar_is_read(value: int) -> None:
    """Such as nanoseconds where seconds belong."""
    properties = header(FLAG["timestamp"], struct.pack(">Q", value))

    assert properties.timestamp is not None


def test_what_can_be_read_is_read_as_before() -> None:
    """A message id and a time."""
    properties = header(FLAG["message_id"] | FLAG["timestamp"], b"\x02m1" + struct.pack(">Q", 1_795_312_800))

    assert properties.message_id == "m1"
    assert properties.timestamp is not None
    assert properties.timestamp.year == 2026


def nested(tables: int) -> bytes:
    inner = b""
    for _ in range(tables):
        inner = b"\x01aF" + struct.pack(">I", len(inner)) + inner
    return inner


@pytest.mark.parametrize(
    "table", [b"\x02\xff\xfeV", b"\x01k?", b"\x09k", nested(2_000)], ids=["key", "type", "cut short", "nested"]
)
def test_headers_that_cannot_be_read_are_none(table: bytes) -> None:
    """The properties behind them are read all the same."""
    headers = struct.pack(">I", len(table)) + table

    properties = header(FLAG["headers"] | FLAG["message_id"], headers + b"\x02m1")

    assert properties.headers == {}
    assert properties.message_id == "m1"
