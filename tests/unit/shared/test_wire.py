"""The frames that are read and written directly are those that the library would read and write."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from shared.rabbit import wire

FRAME_MAX = 131_072
short = st.text(max_size=60)
exchanges = st.from_regex(r"[a-zA-Z0-9._:-]{0,60}", fullmatch=True)
properties = st.fixed_dictionaries(
    {},
    optional={
        "content_type": short,
        "content_encoding": short,
        "headers": st.dictionaries(st.text(min_size=1, max_size=10), short, max_size=3),
        "delivery_mode": st.sampled_from([1, 2]),
        "priority": st.integers(0, 9),
        "correlation_id": short,
        "reply_to": short,
        "expiration": short,
        "message_id": short,
        "timestamp": st.just(datetime(2026, 11, 24, tzinfo=UTC)),
        "message_type": short,
        "user_id": short,
        "app_id": short,
    },
)


def unmarshalled(data: bytes) -> list[tuple[int, Any]]:
    """Channel and frame of each frame in these bytes, as the library reads them."""
    found = []
    while data:
        size, channel, read = frame.unmarshal(data)
        found.append((channel, read))
        data = data[size:]
    return found


def payload(written: Any) -> bytes:
    return frame.marshal(written, 1)[wire.FRAME_HEAD.size : -1]


@given(tag=st.integers(0, 2**63 - 1), exchange=exchanges, routing_key=short, redelivered=st.booleans())
def test_a_delivery_is_read_as_the_library_wrote_it(
    tag: int, exchange: str, routing_key: str, redelivered: bool
) -> None:
    """Consumer tag and redelivered are passed over."""
    delivered = payload(
        Basic.Deliver("ctag1.x", tag, redelivered=redelivered, exchange=exchange, routing_key=routing_key)
    )

    message = wire.read_deliver(delivered)

    assert (message.delivery_tag, message.exchange, message.routing_key) == (tag, exchange, routing_key)


@given(told=properties, size=st.integers(0, 2**40))
def test_properties_are_read_as_the_library_wrote_them(told: dict[str, Any], size: int) -> None:
    """Those that nobody looks at are passed over, whatever lies between."""
    header = payload(ContentHeader(0, size, Basic.Properties(**told)))
    message = wire.Message(1, "", "")

    body_size = wire.read_properties(header, message)

    kept = ("content_type", "correlation_id", "reply_to", "message_id", "user_id")
    assert body_size == size
    assert [getattr(message, name) or "" for name in (*kept, "type")] == [
        told.get(name, "") for name in (*kept, "message_type")
    ]


@pytest.mark.parametrize("multiple", [True, False])
@pytest.mark.parametrize("method", [Basic.Ack, Basic.Nack])
def test_a_confirm_is_read_as_the_library_wrote_it(method: type[Any], multiple: bool) -> None:
    """One tag, or all up to it."""
    confirm = wire.read_confirm(payload(method(7, multiple=multiple)))

    assert confirm == wire.Confirm(7, multiple=multiple)


def test_a_returned_message_is_read_as_the_library_wrote_it() -> None:
    """Reply code and text are passed over."""
    message = wire.read_return(payload(Basic.Return(312, "NO_ROUTE", "gongji.results", "settle.settled.hospital-1")))

    assert (message.exchange, message.routing_key) == ("gongji.results", "settle.settled.hospital-1")


@given(
    body=st.binary(max_size=300),
    exchange=exchanges,
    routing_key=short,
    mandatory=st.booleans(),
    told=st.fixed_dictionaries(dict.fromkeys(("content_type", "correlation_id", "message_id", "type"), short)),
    headers=st.dictionaries(st.text(min_size=1, max_size=10), short, max_size=3),
)
def test_what_is_published_is_what_the_library_would_read(
    body: bytes, exchange: str, routing_key: str, mandatory: bool, told: dict[str, str], headers: dict[str, str]
) -> None:
    """A persistent message, cut into frames that are no longer than agreed."""
    written = wire.publish(
        3,
        50,
        body,
        exchange=exchange,
        routing_key=routing_key,
        mandatory=mandatory,
        # In no order of theirs.
        properties={
            wire.TYPE: told["type"],
            wire.MESSAGE_ID: told["message_id"],
            wire.CONTENT_TYPE: told["content_type"],
            wire.CORRELATION_ID: told["correlation_id"],
        },
        headers=headers,
    )

    (_, method), (_, header), *bodies = found = unmarshalled(written)
    assert {channel for channel, _ in found} == {3}
    assert isinstance(method, commands.Basic.Publish)
    assert (method.exchange, method.routing_key, method.mandatory) == (exchange, routing_key, mandatory)
    assert header.body_size == len(body)
    assert header.properties.delivery_mode == wire.PERSISTENT
    assert (header.properties.headers or {}) == headers
    read = header.properties
    assert [each or "" for each in (read.content_type, read.correlation_id, read.message_id, read.message_type)] == [
        told[name] for name in ("content_type", "correlation_id", "message_id", "type")
    ]
    assert b"".join(each.value for _, each in bodies) == body
    assert all(len(frame.marshal(ContentBody(each.value), 3)) <= 50 for _, each in bodies)


def test_what_is_not_utf_8_is_written_back_byte_for_byte() -> None:
    """A sender that writes another encoding still knows its own correlation id again."""
    crooked = bytes(range(128, 256))
    header = wire.CONTENT_HEAD.pack(60, 0, 0, wire.CORRELATION_ID) + bytes((len(crooked),)) + crooked
    message = wire.Message(1, "", "")
    wire.read_properties(header, message)

    written = wire.publish(
        1,
        FRAME_MAX,
        b"",
        exchange="",
        routing_key="",
        mandatory=False,
        properties={wire.CORRELATION_ID: message.correlation_id},
    )

    assert crooked in written


def test_where_frames_have_no_limit_a_body_is_one_frame() -> None:
    """A broker may say so with a frame_max of 0."""
    written = wire.publish(1, 0, b"7" * 200_000, exchange="", routing_key="q", mandatory=True, properties={})

    *_, (_, body) = found = unmarshalled(written)
    assert (len(found), body.value) == (3, b"7" * 200_000)


def test_a_text_that_is_too_long_for_amqp_is_named_before_anything_is_written() -> None:
    """A length is one byte."""
    with pytest.raises(ValueError, match="has 256 bytes"):
        wire.publish(1, FRAME_MAX, b"", exchange="", routing_key="é" * 128, mandatory=False, properties={})


@pytest.mark.parametrize(
    ("headers", "signature"),
    [
        ({"other": "a", "x-jws-signature": "p..s", "more": 1}, "p..s"),
        ({"other": "x-jws-signature"}, "unreadable"),
        ({"x-jws-signature": 7}, "unreadable"),
        ({"other": "a"}, None),
        ({}, None),
    ],
)
def test_the_signature_is_the_one_header_that_is_read(headers: dict[str, Any], signature: str | None) -> None:
    """One that is no text, or that is only spoken of, is a signature that holds of nothing."""
    message = wire.Message(1, "", "")
    header = ContentHeader(body_size=3, properties=Basic.Properties(headers=headers, correlation_id="c"))

    wire.read_properties(payload(header), message)

    assert (message.signature, message.correlation_id) == (signature, "c")


def test_headers_that_cannot_be_read_are_a_signature_that_is_none() -> None:
    """A table with an unknown kind of field in it; what stands after it is read all the same."""
    message = wire.Message(1, "", "")
    table = b"\x0fx-jws-signature?"
    content = wire.CONTENT_HEAD.pack(wire.BASIC, 0, 0, wire.HEADERS | wire.CORRELATION_ID)

    wire.read_properties(content + len(table).to_bytes(4) + table + b"\x01c", message)

    assert (message.signature, message.correlation_id) == ("unreadable", "c")
