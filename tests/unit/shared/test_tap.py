"""What comes with every message is taken; everything else reaches the library byte for byte."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from shared.rabbit.tap import SIGN_OF_LIFE, SIGN_OF_LIFE_EVERY_S, ChannelTap, Tap, taken_by_the_tap
from shared.rabbit.wire import Confirm, Message

TAPPED, OTHER = 1, 2
HEARTBEAT = frame.marshal(Heartbeat(), 0)
CONSUMING = frame.marshal(Basic.ConsumeOk("tag"), TAPPED)


def delivery(body: bytes, tag: int = 1, channel: int = TAPPED) -> bytes:
    """A message as the broker sends it, its body in pieces of ten bytes."""
    pieces = [body[start : start + 10] for start in range(0, len(body), 10)]
    method = Basic.Deliver("tag", tag, exchange="gongji.requests", routing_key="settle.130100")
    header = ContentHeader(0, len(body), Basic.Properties(message_type="settle"))
    bodies = [frame.marshal(ContentBody(piece), channel) for piece in pieces]
    return b"".join((frame.marshal(method, channel), frame.marshal(header, channel), *bodies))


class Arriving(asyncio.StreamReader):
    """A connection on which these chunks arrive one after the other, and then nothing more."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        super().__init__()
        self._chunks = iter(chunks)

    async def read(self, _n: int = -1) -> bytes:
        return next(self._chunks, b"")


async def rest_of(tap: Tap, chunks: Sequence[bytes], size: int) -> bytes:
    """What the library reads, and nothing more comes for it."""
    left = tap.on(Arriving(chunks))
    rest = await left.readexactly(size)
    with pytest.raises(asyncio.IncompleteReadError):
        await left.readexactly(1)
    return rest


@given(bodies=st.lists(st.binary(max_size=35), max_size=5), cuts=st.lists(st.integers(0, 2_000), max_size=8))
def test_messages_arrive_whole_and_in_order_however_the_bytes_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    """What is not a delivery goes on, also between the frames of one that comes in another channel."""
    stream = b"".join(
        (delivery(body, tag) + HEARTBEAT + delivery(b"theirs", tag, OTHER)) for tag, body in enumerate(bodies, start=1)
    )
    expected = b"".join(HEARTBEAT + delivery(b"theirs", tag, OTHER) for tag in range(1, len(bodies) + 1))
    tap, came = Tap(), list[Message]()
    tap.channels[TAPPED] = ChannelTap(on_delivery=came.append)
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    chunks = [stream[start:end] for start, end in pairwise(places)]

    rest = asyncio.run(rest_of(tap, chunks, len(expected)))

    assert rest == expected
    assert [(message.delivery_tag, message.body) for message in came] == list(enumerate(bodies, start=1))


@given(body=st.binary(max_size=60), kept=st.integers(0, 60))
def test_of_a_body_that_is_too_long_only_the_beginning_is_kept(body: bytes, kept: int) -> None:
    """It is told how much is missing; the message behind it comes as its own size allows."""
    longer = bytes(100)
    stream = delivery(body) + delivery(longer, 2) + HEARTBEAT
    tap, came = Tap(), list[Message]()
    tap.channels[TAPPED] = ChannelTap(came.append, keeps=lambda size: min(size, kept) if size <= 60 else size)

    asyncio.run(rest_of(tap, [stream], len(HEARTBEAT)))

    assert [(message.body, message.bytes_left_out) for message in came] == [
        (body[:kept], max(len(body) - kept, 0)),
        (longer, 0),
    ]


@given(cut=st.integers(1, 200))
def test_a_tap_may_be_set_between_any_two_bytes(cut: int) -> None:
    """What had begun to come before goes where it belongs."""
    stream = CONSUMING + delivery(b"before it is asked for", 1, OTHER) + delivery(b"asked for", 2)
    untapped = CONSUMING + delivery(b"before it is asked for", 1, OTHER)
    tap, came = Tap(), list[Message]()

    async def read() -> bytes:
        left = tap.on(Arriving([stream[:cut], stream[cut:]]))
        first = await left.readexactly(1)
        tap.channels[TAPPED] = ChannelTap(on_delivery=came.append)
        return first + await left.readexactly(len(untapped) - 1)

    rest = asyncio.run(read())

    assert rest == untapped
    assert len(came) <= 1


async def test_another_version_of_the_protocol_is_the_librarys_to_complain_about() -> None:
    """Its header is no frame."""
    rest = await rest_of(Tap(), [b"AMQP\x00\x00\x09\x01"], 8)

    assert rest == b"AMQP\x00\x00\x09\x01"


async def test_a_channel_that_nobody_taps_is_left_to_the_library() -> None:
    """Deliveries, confirms and all."""
    stream = delivery(b"body") + frame.marshal(Basic.Ack(3, multiple=True), TAPPED)
    tap = Tap()
    tap.channels[OTHER] = ChannelTap(on_delivery=lambda _: None)

    rest = await rest_of(tap, [stream], len(stream))

    assert rest == stream


async def test_confirms_and_returned_messages_are_taken_where_they_are_asked_for() -> None:
    """In the order in which they come."""
    returned = [
        frame.marshal(each, TAPPED)
        for each in (
            Basic.Return(312, "NO_ROUTE", "gongji.results", "key"),
            ContentHeader(0, 4, Basic.Properties(message_id="m-1")),
            ContentBody(b"body"),
        )
    ]
    confirms = [frame.marshal(each, TAPPED) for each in (Basic.Ack(1, multiple=False), Basic.Nack(2, multiple=True))]
    tap, seen = Tap(), list[tuple[str, object]]()
    tap.channels[TAPPED] = ChannelTap(
        on_ack=lambda confirm: seen.append(("ack", confirm)),
        on_nack=lambda confirm: seen.append(("nack", confirm)),
        on_return=lambda message: seen.append(("return", message.message_id)),
    )

    rest = await rest_of(tap, [*returned, *confirms, CONSUMING], len(CONSUMING))

    assert rest == CONSUMING
    assert seen == [("return", "m-1"), ("ack", Confirm(1, multiple=False)), ("nack", Confirm(2, multiple=True))]


async def test_the_library_sees_a_sign_of_life_while_only_messages_come() -> None:
    """The broker sends no heartbeat while it sends messages, and the library would think it dead."""
    now = iter((0.0, SIGN_OF_LIFE_EVERY_S / 2, SIGN_OF_LIFE_EVERY_S * 2))
    tap = Tap(seconds=lambda: next(now))
    tap.channels[TAPPED] = ChannelTap(on_delivery=lambda _: None)

    rest = await rest_of(tap, [delivery(b"one"), delivery(b"two", 2)], len(SIGN_OF_LIFE))

    assert rest == SIGN_OF_LIFE == HEARTBEAT


async def test_a_connection_that_ends_ends_for_the_library_too() -> None:
    """With what had come of it."""
    tap = Tap()
    tap.channels[TAPPED] = ChannelTap()

    with pytest.raises(asyncio.IncompleteReadError) as ended:
        await tap.on(Arriving([HEARTBEAT, HEARTBEAT[:3]])).readexactly(10)

    assert ended.value.partial == HEARTBEAT


async def test_nothing_is_left_for_the_consumer_callback_that_the_library_wants() -> None:
    """A delivery that got past the tap is an error, not a request forgotten."""
    with pytest.raises(AssertionError, match="went past the tap"):
        await taken_by_the_tap(None)
