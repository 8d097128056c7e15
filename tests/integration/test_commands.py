"""The `gongji` command beside servers that misbehave: the right exit code, one sentence, and nothing on stdout but the answer."""

import asyncio
import json
import re
import tracemalloc
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from aiormq.channel import Channel
from pamqp.commands import Basic

from cli.dead import summaries
from deploy.devstack.ports import LOOPBACK
from shared.rabbit import wire
from shared.rabbit.connection import close, connect, open_channel
from shared.rabbit.publisher import Outgoing, Publisher
from shared.rabbit.topology import DEAD, REQUESTS, SETTLEMENT, About, declare
from tests.support.ports import free_port
from tests.support.proxy import Link, Proxy, Towards, losing
from tests.support.stacks import Stack
from tests.support.world import bill, until

BILL = ("settle", "-i", "H1", "-r", "130100", "--person", "CHILD", "--amount-fen", "1")
MIB = 1024 * 1024


@pytest.fixture
async def channel(amqp_url: str) -> AsyncIterator[Channel]:
    """To a broker that has its queues, and nobody who works."""
    opened = await connect([amqp_url], name="tests")
    made = await open_channel(opened, confirms=True)
    await declare(made)
    yield made
    await close(opened)


@pytest.fixture
def command(tmp_path: Path) -> Stack:
    """The command where no stack runs: it knows what its environment says."""
    return Stack(tmp_path)


async def holds(channel: Channel, queue: str, messages: int) -> bool:
    return (await channel.queue_declare(queue, passive=True)).message_count == messages


# ---- what became of a request is not known ----


@pytest.mark.parametrize(("lang", "said"), [("en", "It may have been decided"), ("zh", "可能已经裁定")])
async def test_a_request_that_was_not_confirmed_is_not_told_as_rejected(
    amqp_url: str, channel: Channel, command: Stack, lang: str, said: str
) -> None:
    """The broker went away between the request and its confirm: exit code 3, and how to learn what became of it."""
    async with Proxy.before(amqp_url, Random(1)) as proxy:  # noqa: S311 nothing is drawn here
        proxy.passage = losing(wire.BASIC_ACK, Towards.CLIENT, 1, Link.cut)
        done = await asyncio.to_thread(command.done, *BILL, "--lang", lang, GONGJI_AMQP_URL=proxy.url)

    await until(partial(holds, channel, SETTLEMENT, 1))
    (request_id,) = set(re.findall(r"cli-[0-9a-f]{16}", done.stderr))
    asked = orjson.loads((await channel.basic_get(SETTLEMENT)).body)
    assert (done.returncode, done.stdout) == (3, "")
    assert said in done.stderr
    assert f"gongji lookup -i H1 -r 130100 {request_id}" in done.stderr
    assert (again := re.search(rf"--request-id {request_id} --occurred-at (\S+)", done.stderr))
    assert datetime.fromisoformat(again[1]) == datetime.fromisoformat(asked["occurred_at"])
    assert asked["request_id"] == request_id
    assert "Traceback" not in done.stderr


async def test_a_letter_that_was_sent_again_and_not_confirmed_stays(
    amqp_url: str, channel: Channel, command: Stack
) -> None:
    """The broker may have it, so it is not told as refused either."""
    await Publisher(channel).publish([Outgoing(DEAD, "settle.130100", orjson.dumps(bill()), type="settle")])
    (letter,) = await summaries(amqp_url)
    async with Proxy.before(amqp_url, Random(1)) as proxy:  # noqa: S311 nothing is drawn here
        proxy.passage = losing(wire.BASIC_ACK, Towards.CLIENT, 1, Link.cut)
        done = await asyncio.to_thread(command.done, "dead", "replay", letter["id"], GONGJI_AMQP_URL=proxy.url)

    await until(partial(holds, channel, SETTLEMENT, 1))
    await until(partial(holds, channel, DEAD, 1))
    assert (done.returncode, done.stdout) == (3, "")
    assert "does not say whether it has what was sent" in done.stderr
    assert "Traceback" not in done.stderr


# ---- stdout is the answer's alone ----


async def test_a_broker_that_is_away_does_not_speak_into_the_json(
    amqp_url: str, channel: Channel, command: Stack
) -> None:
    """The second of two answers."""
    brokers = f"amqp://{LOOPBACK}:{free_port()},{amqp_url}"

    done = await asyncio.to_thread(command.done, "dead", "list", "--json", GONGJI_AMQP_URL=brokers)

    assert (done.returncode, json.loads(done.stdout)) == (0, [])


async def test_a_database_that_is_asked_again_does_not_speak_into_the_json(command: Stack) -> None:
    """Each session ends while it begins."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]

    url = f"postgresql://gongji@{LOOPBACK}:{port}/gongji?sslmode=disable"
    done = await asyncio.to_thread(command.done, "audit", "--json", GONGJI_DATABASE_URL=url)
    server.close()

    assert (done.returncode, done.stdout) == (3, "")
    assert "cannot reach the servers" in done.stderr


# ---- dead letters ----


async def test_of_a_letter_that_the_broker_made_its_sender_s_words_are_not_believed(
    amqp_url: str, channel: Channel, command: Stack
) -> None:
    """An expired one comes as it was sent: with headers like ours, which would have it discarded, and words for a terminal."""
    said: dict[str, Any] = {
        About.REASON: "malformed",
        About.PROBLEMS: "\x1b[2J",
        About.BYTES_LEFT_OUT: 9,
        About.QUEUE: "elsewhere",
    }
    await channel.basic_publish(
        orjson.dumps(bill()),
        exchange=REQUESTS,
        routing_key="settle.130100",
        properties=Basic.Properties(headers=said, expiration="0", message_type="\x1b]0;x\x07"),
    )
    await until(partial(holds, channel, DEAD, 1))
    ask = partial(command.done, GONGJI_AMQP_URL=amqp_url)

    (letter,) = await summaries(amqp_url)
    listed = await asyncio.to_thread(ask, "dead", "list")
    discarded = await asyncio.to_thread(ask, "dead", "discard", "--reason", "malformed", "--yes")

    assert (letter["reason"], letter["problems"], letter["bytes_left_out"]) == ("expired", None, 0)
    assert letter["queue"] == SETTLEMENT
    assert "\x1b" not in listed.stdout
    assert "\x07" not in listed.stdout
    assert "discarded 0 dead letters" in discarded.stdout


async def test_a_letter_whose_type_is_no_text_is_told_and_found(
    amqp_url: str, channel: Channel, command: Stack
) -> None:
    """Whatever bytes its sender put there."""
    await Publisher(channel).publish([Outgoing(DEAD, "settle.130100", b"{}", type="settle\udcff")])
    await until(partial(holds, channel, DEAD, 1))
    ask = partial(command.done, "dead", GONGJI_AMQP_URL=amqp_url)

    (letter,) = json.loads((await asyncio.to_thread(ask, "list", "--json")).stdout)
    listed = await asyncio.to_thread(ask, "list")
    shown = await asyncio.to_thread(ask, "show", letter["id"])

    assert letter["type"] == "settle\N{REPLACEMENT CHARACTER}"
    assert (listed.returncode, shown.returncode) == (0, 0)


async def test_looking_at_dead_letters_takes_the_memory_of_a_few(amqp_url: str, channel: Channel) -> None:
    """However many there are."""
    letters = 24
    publisher = Publisher(channel)
    for number in range(letters):
        await publisher.publish([Outgoing(DEAD, "settle.130100", bytes([number]) * 2 * MIB)])
    await until(partial(holds, channel, DEAD, letters))

    tracemalloc.start()
    try:
        told = await summaries(amqp_url)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert [each["bytes"] for each in told] == [2 * MIB] * letters
    assert peak_bytes < 10 * 2 * MIB


async def test_a_letter_that_was_cut_is_not_sent_again(amqp_url: str, channel: Channel, command: Stack) -> None:
    """Its beginning may be a good request, followed by blanks, and its sender was told that it is malformed."""
    body = orjson.dumps(bill()).ljust(1_024)
    headers = {"x-gongji-reason": "malformed", "x-gongji-bytes-left-out": 9_000_000}
    await Publisher(channel).publish([Outgoing(DEAD, "settle.130100", body, type="settle", headers=headers)])
    ask = partial(command.done, GONGJI_AMQP_URL=amqp_url)

    (letter,) = json.loads((await asyncio.to_thread(ask, "dead", "list", "--json")).stdout)
    listed = await asyncio.to_thread(ask, "dead", "list")
    refused = await asyncio.to_thread(ask, "dead", "replay", letter["id"])
    await until(partial(holds, channel, DEAD, 1))

    assert (letter["bytes"], letter["bytes_left_out"]) == (1_024, 9_000_000)
    assert "(1024 bytes, 9000000 left out)" in listed.stdout
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"of {letter['id']} only the first 1024 bytes were kept, 9000000 were left out" in refused.stderr
    assert await holds(channel, SETTLEMENT, 0)


async def test_junk_among_dead_letters_is_let_go_at_once(amqp_url: str, channel: Channel, command: Stack) -> None:
    """However much of it there is before and behind what somebody needs; that can be found, shown, and stays."""
    junk, needed = 40, orjson.dumps(bill())
    limit = {"x-gongji-reason": "delivery_limit"}
    bug = {"x-gongji-reason": "malformed", "x-gongji-problems": "it cannot be decided (CheckViolationError)"}
    unread = [
        Outgoing(DEAD, "unknown", b"%d" % number, headers={"x-gongji-reason": "malformed"}) for number in range(junk)
    ]
    kept = [Outgoing(DEAD, "settle.130100", needed, headers=headers) for headers in (limit, bug)]
    await Publisher(channel).publish([*unread, *kept, *unread])
    ask = partial(command.done, "dead", GONGJI_AMQP_URL=amqp_url)

    (found,) = json.loads((await asyncio.to_thread(ask, "list", "--reason", "delivery_limit", "--json")).stdout)
    some = json.loads((await asyncio.to_thread(ask, "list", "--at-most", "7", "--json")).stdout)
    shown = json.loads((await asyncio.to_thread(ask, "show", found["id"], "--json")).stdout)
    # The broker gives back in an order of its own what somebody has looked at: how soon it stops is not known.
    stopped = await asyncio.to_thread(ask, "discard", "--reason", "malformed", "--at-most", "1", "--yes")
    rest = await asyncio.to_thread(ask, "discard", "--reason", "malformed", "--yes")
    neither = await asyncio.to_thread(ask, "discard", "--yes")
    await until(partial(holds, channel, DEAD, 2))
    left = json.loads((await asyncio.to_thread(ask, "list", "--json")).stdout)

    assert len(some) == 7
    assert shown["body"] == needed.decode()
    assert "1 others were passed over" in stopped.stderr
    assert sum(int(done.stdout.split()[1]) for done in (stopped, rest)) == 2 * junk
    assert neither.returncode == 2
    assert {(each["reason"], each["problems"]) for each in left} == {
        ("delivery_limit", None),
        ("malformed", bug["x-gongji-problems"]),
    }
