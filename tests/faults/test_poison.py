"""Poison among good requests: each is refused or put aside alone, its neighbours are answered as if it were not there, and nothing of it is told."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from math import ceil, log2
from statistics import median, quantiles
from time import perf_counter
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest

from deploy.devstack.state import StackState
from services.settlement.settings import SettlementSettings
from shared.messages.bulk import SETTLEMENTS_MAX
from shared.messages.catalogue import BEGINNING_BYTES
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import close, connect, open_channel
from shared.rabbit.management import vhost_of
from shared.rabbit.publisher import Outgoing
from shared.rabbit.topology import DEAD, REQUESTS, SETTLEMENT
from tests.support.correspondence import Correspondence, bills, dead_letters, taken, waiting
from tests.support.poison import ID_NUMBER, raw, text, told_in, with_member, without
from tests.support.processes import IN_HAND_MAX, MEMORY_MIB_MAX, MIB, Worker
from tests.support.servers import Servers
from tests.support.world import World, bill, envelope, until

NAME = "张三 zhangsan"
REPLIES = "replies-to-poison"
READ_BYTES_MAX = 64 * 1024
BATCH_MAX = SettlementSettings.model_fields["batch_max"].default


# ---- what cannot be read, and what can be read and is no request ----


@dataclass(frozen=True)
class Poison:
    """A message that must not be decided; `named`: its sender can be answered by name, so nothing is put aside."""

    body: bytes
    named: bool = False
    type: str | None = "settle"
    routing_key: str = "settle.130100"
    content_type: str | None = "application/json"

    @property
    def kept(self) -> bytes:
        """What its dead letter has of it."""
        return self.body if len(self.body) <= READ_BYTES_MAX else self.body[:BEGINNING_BYTES]

    def sent_as(self, name: str) -> Outgoing:
        return Outgoing(
            REQUESTS,
            self.routing_key,
            self.body,
            type=self.type,
            content_type=self.content_type,
            reply_to=REPLIES,
            correlation_id=name,
        )


named = partial(Poison, named=True)

POISON = {
    # No JSON.
    "empty": Poison(b""),
    "words": Poison(f"{NAME} {ID_NUMBER}".encode()),
    "words, around it too": Poison(
        f"{ID_NUMBER} {NAME}".encode(), routing_key=f"settle.{ID_NUMBER}", content_type=f"{NAME} {ID_NUMBER}"
    ),
    "cut off": Poison(text()[:-1]),
    "two requests": Poison(text() + text()),
    "single quotes": Poison(text().replace(b'"', b"'")),
    "NaN": Poison(raw(amount_fen="NaN")),
    "Infinity": Poison(raw(amount_fen="Infinity")),
    "-Infinity": Poison(raw(amount_fen="-Infinity")),
    "NaN that a later value hides": Poison(with_member('"amount_fen":NaN')),
    "nested a thousand deep": Poison(b"[" * 1_000),
    "nested thirty thousand deep": Poison(b"[" * 30_000 + b"]" * 30_000),
    "nested in a field": Poison(raw(bill_ref="[" * 20_000 + "]" * 20_000)),
    "number of five thousand digits": Poison(raw(amount_fen="9" * 5_000)),
    "lone surrogate": Poison(raw(bill_ref=r'"zhangsan\ud800"')),
    "raw NUL": Poison(raw(bill_ref='"zhangsan\x00"')),
    "NUL in front": Poison(b"\x00" + text()),
    "UTF-8 with a mark": Poison(b"\xef\xbb\xbf" + text()),
    "UTF-16": Poison(text().decode().encode("utf-16")),
    "UTF-32": Poison(text().decode().encode("utf-32")),
    "GB 18030": Poison(text().decode().encode("gb18030")),
    "Latin-1": Poison(text(bill_ref="Zhangsan é").decode().replace("张三", "").encode("latin-1")),
    "broken UTF-8": Poison(raw().replace("张".encode(), b"\xff")),
    "surrogate in UTF-8": Poison(raw().replace("张".encode(), b"\xed\xa0\x80")),
    # JSON without a name to answer.
    "null": Poison(b"null"),
    "list": Poison(b"[" + text() + b"]"),
    "text": Poison(f'"{NAME}"'.encode()),
    "no institution": Poison(without("institution_id")),
    "no request id": Poison(without("request_id")),
    "name for a request id": Poison(raw(request_id=f'"{NAME}"')),
    "ID number for an institution": Poison(raw(institution_id=ID_NUMBER)),
    "ten mebibytes": Poison(text() + b" " * (10 * MIB)),
    # With a name.
    "a hundred kibibytes": named(text() + b" " * (100 * 1024)),
    "amount of nothing": named(raw(amount_fen="0")),
    "amount below nothing": named(raw(amount_fen="-1")),
    "amount beyond 64 bits": named(raw(amount_fen="9223372036854775808")),
    "amount with a huge exponent": named(raw(amount_fen="1e999999999")),
    "amount as a fraction": named(raw(amount_fen="100.5")),
    "amount as a text": named(raw(amount_fen='"100"')),
    "NUL, escaped": named(raw(bill_ref=r'"张三\u0000"')),
    "person's name for an id": named(raw(person_id=f'"{NAME}"')),
    "name as a key": named(raw(张三="1")),
    "ID number as a key": named(raw(**{ID_NUMBER: "1"})),
    "unknown field": named(raw(full_name=f'"{NAME}"')),
    "time in words": named(raw(occurred_at=f'"{NAME}"')),
    "bad one that a later value does not hide": named(with_member(f'"张三":"{ID_NUMBER}"')),
    # A good body in a wrong envelope.
    "no type": named(text(), type=None),
    "unknown type": named(text(), type=f"{NAME} {ID_NUMBER}"),
    "type that is not UTF-8": named(text(), type="\udcff\udcfe"),
    "type of another operation": named(text(), type="refund"),
    "routing key of another region": named(text(), routing_key="settle.330100"),
    "routing key with an ID number": named(text(), routing_key=f"settle.{ID_NUMBER}"),
    "content type that is no JSON": named(text(), content_type=NAME),
    # For many at once.
    "no settlements at all": named(
        orjson.dumps(envelope(settlements=[])), type="settle_bulk", routing_key="settle_bulk.130100"
    ),
    "too many settlements": named(
        orjson.dumps(envelope(settlements=[{"person_id": ID_NUMBER}] * (SETTLEMENTS_MAX + 1))),
        type="settle_bulk",
        routing_key="settle_bulk.130100",
    ),
}


async def test_poison_is_refused_alone(town: World, sender: Correspondence, stack: AsyncExitStack) -> None:
    """Every kind between two good requests, all waiting when the worker comes: it keeps its session, nothing is delivered twice."""
    await _open(town, REPLIES)
    good = [sender.message(body) for body in bills(len(POISON))]
    mail = [each for pair in zip(good, (POISON[name].sent_as(name) for name in POISON), strict=True) for each in pair]
    await sender.publish(mail)

    worker = Worker(town)
    stack.callback(worker.kill)
    await until(partial(_has, town, REPLIES, len(POISON)))
    answers = {message.header.properties.correlation_id: message for message in await taken(town, REPLIES)}
    letters = await dead_letters(town, at_least=sum(not each.named for each in POISON.values()))
    await sender.converge()

    assert {name: _said(message) for name, message in answers.items()} == {
        name: ("rejected", "malformed", each.named) for name, each in POISON.items()
    }
    assert _names_of(letters) == Counter(name for name, each in POISON.items() if not each.named)
    assert {letter.header.properties.headers["x-gongji-reason"] for letter in letters} == {"malformed"}
    assert all(letter.header.properties.headers["x-gongji-problems"] for letter in letters)
    assert _answered_once(sender)
    assert await worker.metric("gongji_broker_sessions_total") == 1
    assert await _told(worker, [*answers.values()], letters) == []


def _said(message: Any) -> tuple[str, str, bool]:
    """What a poison is answered, and whether by its name."""
    answer = orjson.loads(message.body)
    return answer["outcome"], answer["reason"], answer["request_id"] is not None


def _names_of(letters: list[Any]) -> Counter[str]:
    """Which poisons were put aside, body for body; of one that was too long to be read, by its beginning."""
    by_body = {each.kept: name for name, each in POISON.items() if not each.named}
    return Counter(by_body.get(letter.body, "something else") for letter in letters)


TOO_LONG = 15


@pytest.mark.long
async def test_what_is_too_long_to_be_read_does_not_fill_the_memory(
    town: World, sender: Correspondence, stack: AsyncExitStack
) -> None:
    """A hundred and fifty mebibytes of it, with good requests in between: the beginning of each is put aside."""
    await _open(town, REPLIES)
    flood = POISON["ten mebibytes"].sent_as("flood")
    for body in bills(TOO_LONG):
        await sender.publish([sender.message(body), flood])

    worker = Worker(town)
    stack.callback(worker.kill)
    await until(partial(_has, town, REPLIES, TOO_LONG), timeout_s=60)
    letters = await dead_letters(town, at_least=TOO_LONG)
    await sender.converge()

    assert worker.most_memory_mib() <= MEMORY_MIB_MAX
    assert {letter.header.properties.headers["x-gongji-problems"] for letter in letters} == {
        f"the body has {len(flood.body)} bytes; at most 65536 are read"
    }
    assert {letter.body for letter in letters} == {flood.body[:BEGINNING_BYTES]}
    assert [_left_out(letter) for letter in letters] == [len(flood.body) - len(letter.body) for letter in letters]
    assert len(letters) == TOO_LONG
    assert _answered_once(sender)


# What takes up the room of the dead letters.
FILLING = b"filling"


async def test_a_dead_letter_that_is_refused_waits_alone(
    town: World, sender: Correspondence, worker: Worker, servers: StackState
) -> None:
    """Its queue is full. Neighbours are answered and nobody's session ends; once there is room it is put aside, and its sender was told once."""
    await _open(town, REPLIES)
    one, another = (sender.message(body) for body in bills(2))
    async with _policy(servers, town, {"max-length": 1, "overflow": "reject-publish"}):
        await until(partial(_is_refused, sender, Outgoing(DEAD, "", FILLING)))

        await sender.publish([one, POISON["words"].sent_as("words"), another])
        await until(partial(worker.has_logged, "dead_letters_refused", 3))
        await until(sender.is_complete)
        letters = await _filling_and_a_letter(town)
    await sender.converge()

    assert {letter.body for letter in letters} == {FILLING, POISON["words"].body}
    assert _names_of(letters)["words"] == 1
    assert await waiting(town, REPLIES) == 1
    assert await worker.metric("gongji_broker_sessions_total") == 1
    assert _answered_once(sender)


FLOOD = IN_HAND_MAX + 100


async def test_what_nobody_can_read_is_let_go_where_there_is_no_room_for_it(
    town: World, sender: Correspondence, worker: Worker, servers: StackState
) -> None:
    """More of it than a worker may have in hand, and the dead letters full for good: told, counted, acknowledged, so that whoever
    comes after it is answered. A request that PostgreSQL fails on waits.
    """
    await town.family("zhangsan", child="OTHER")
    await town.db.execute(FAILS_ON_ZHANGSAN)
    await _open(town, REPLIES)
    first, *later = (sender.message(body) for body in bills(3))
    async with _policy(servers, town, {"max-length": 1, "overflow": "reject-publish"}):
        await until(partial(_is_refused, sender, Outgoing(DEAD, "", FILLING)))

        await sender.publish([_asked("settle", bill("OTHER", bill_ref=NAME)), first])
        await sender.publish([POISON["words"].sent_as("words") for _ in range(FLOOD)])
        await sender.publish(later)
        await until(sender.is_complete, timeout_s=60)
        await until(partial(_is_empty, town, servers, 1), timeout_s=30)
        let_go = await worker.metric("gongji_dead_letters_let_go_total{")
        letters = await _filling_and_a_letter(town)
    (letter,) = (each for each in letters if each.body != FILLING)
    await sender.converge()

    assert {each.body for each in letters} == {FILLING, letter.body}
    assert let_go == FLOOD
    assert worker.log.count(b'"dead_letter_let_go"') == FLOOD
    assert orjson.loads(letter.body)["person_id"] == "OTHER"
    assert await waiting(town, REPLIES) == FLOOD + 1
    assert await worker.metric("gongji_broker_sessions_total") == 1
    assert _answered_once(sender)
    assert await _told(worker, [], []) == []


async def _filling_and_a_letter(world: World) -> list[Any]:
    """Takes what fills the dead letters, and the letter that comes as soon as there is room: it may while that is being taken."""
    letters: list[Any] = []

    async def has_come() -> bool:
        letters.extend(await taken(world, DEAD))
        return any(letter.body != FILLING for letter in letters)

    await until(has_come)
    return letters


async def _is_empty(world: World, servers: StackState, but: int) -> bool:
    """Whether so many requests, and no more, are still in a worker's hands."""
    return await waiting(world, SETTLEMENT) == 0 and await _held(servers, world) == but


async def _held(servers: StackState, world: World) -> int:
    return await Servers(servers.keys_directory.parent).held(world.amqp_url, SETTLEMENT)


async def test_what_was_refused_in_passing_is_answered_after_all(
    town: World, sender: Correspondence, worker: Worker, servers: StackState
) -> None:
    """PostgreSQL did not take it and its dead letter was refused; then PostgreSQL takes it: its sender hears so."""
    (body,) = bills(1)
    await town.db.execute("ALTER TABLE ledger.entries ADD CONSTRAINT tests_fail CHECK (request_id <> 'odd') NOT VALID")
    async with _policy(servers, town, {"max-length": 1, "overflow": "reject-publish"}):
        await until(partial(_is_refused, sender, Outgoing(DEAD, "", FILLING)))
        await sender.send([{**body, "request_id": "odd"}])
        await until(partial(worker.has_logged, "dead_letters_refused", 3))
        await sender.collect()

        await town.db.execute("ALTER TABLE ledger.entries DROP CONSTRAINT tests_fail")
        await until(partial(sender.is_complete, 2))
        await taken(town, DEAD)
    (refused, *_) = sender.told["odd"]
    sender.told["odd"].remove(refused)
    await sender.converge()

    assert (refused["outcome"], refused["reason"]) == ("rejected", "malformed")
    assert len(sender.told["odd"]) == 1


@asynccontextmanager
async def _policy(servers: StackState, world: World, definition: dict[str, Any]) -> AsyncIterator[None]:
    """What an operator has decided about the queue of dead letters."""
    assert servers.urls.rabbitmq_management
    async with httpx.AsyncClient(base_url=servers.urls.rabbitmq_management, timeout=30) as management:
        policy = f"/api/policies/{quote(vhost_of(world.amqp_url), safe='')}/dead"
        said = {"pattern": f"^{DEAD}$", "definition": definition, "apply-to": "queues"}
        (await management.put(policy, json=said)).raise_for_status()
        yield
        (await management.delete(policy)).raise_for_status()


async def _is_refused(sender: Correspondence, message: Outgoing) -> bool:
    return await sender.publisher.publish([message]) == [Receipt.REFUSED]


# ---- what is odd, and good ----


async def test_what_is_odd_around_a_good_request_harms_nobody(
    town: World, sender: Correspondence, worker: Worker
) -> None:
    """It is decided like any other: the last of a repeated key counts, headers are not looked at, an answer that reaches nobody can be asked for."""
    plain = [sender.message(body) for body in bills(7)]
    hidden = b'{"amount_fen":99999999999,"credential":{"person_id":"' + ID_NUMBER.encode() + b'"},'
    many = {f"patient-{number}": f"{NAME} {ID_NUMBER}" for number in range(1_000)}
    odd = [
        replace(plain[0], body=hidden + plain[0].body[1:]),
        replace(plain[1], body=plain[1].body + b" \n" * 30_000),
        replace(plain[2], correlation_id=None),
        replace(plain[3], correlation_id="\udcff\udc80", message_id=f"{NAME} \udcff"),
        replace(plain[4], headers=many),
        replace(plain[5], content_type="application/json; charset=utf-8"),
    ]
    nobody = replace(plain[6], reply_to="r" * 255)

    await sender.publish([*odd, nobody])
    await until(partial(worker.has_logged, "answer_undelivered"))
    # Its sender has heard nothing, and says it again.
    await sender.publish([plain[6]])
    await sender.converge()

    assert sender.replayed() == [plain[6].correlation_id]
    assert _answered_once(sender)
    assert await worker.metric("gongji_broker_sessions_total") == 1
    assert await _told(worker, [], []) == []


# ---- what only PostgreSQL finds ----

# PostgreSQL tells the whole row that it does not take, and whose it is.
FAILS_ON_ZHANGSAN = """
CREATE SEQUENCE public.transactions;
CREATE FUNCTION public.count_one() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    -- A sequence is not rolled back.
    PERFORM nextval('public.transactions');
    RETURN NULL;
END
$$;
CREATE TRIGGER tests_count BEFORE INSERT ON ledger.entries FOR EACH STATEMENT EXECUTE FUNCTION public.count_one();
ALTER TABLE ledger.entries ADD CONSTRAINT tests_fail CHECK (person_id <> 'zhangsan') NOT VALID;
"""
# Those halves that fail, and those that do not.
TRANSACTIONS_MORE = 2 * ceil(log2(BATCH_MAX))


async def test_a_request_that_postgresql_fails_on_is_found_by_halving(
    town: World, sender: Correspondence, stack: AsyncExitStack
) -> None:
    """Alone and within a bulk message: so few transactions fail for it that its neighbours hardly wait."""
    town.start_worker()
    await town.family("zhangsan", child="OTHER")
    await town.stop_workers()
    await town.db.execute(FAILS_ON_ZHANGSAN)
    await _open(town, REPLIES)
    poison, within = bill("OTHER", bill_ref=NAME), bill("OTHER", bill_ref=NAME)
    before, behind, beside = ([sender.message(body) for body in bills(40)] for _ in range(3))
    many = [orjson.loads(message.body) for message in beside]
    wrong = bill(amount_fen=-7, bill_ref=NAME)
    bulk = envelope(settlements=[*many[:20], wrong, within, *many[20:]])
    await sender.publish([*before, _asked("settle", poison), *behind, _asked("settle_bulk", bulk)])

    worker = Worker(town)
    stack.callback(worker.kill)
    await until(partial(_has, town, REPLIES, 2))
    answers = {message.header.properties.correlation_id: message for message in await taken(town, REPLIES)}
    together = orjson.loads(answers["settle_bulk"].body)["answers"]
    refused = [each for each in together if each["outcome"] == "rejected"]
    sender.told |= {each["request_id"]: [each] for each in together if each not in refused}
    letters = await dead_letters(town, at_least=2)
    await sender.converge()

    assert _said(answers["settle"]) == ("rejected", "malformed", True)
    assert [each["request_id"] for each in refused] == [wrong["request_id"], within["request_id"]]
    assert {orjson.loads(letter.body)["request_id"] for letter in letters} == {
        poison["request_id"],
        within["request_id"],
    }
    assert _answered_once(sender)
    assert await worker.metric("gongji_broker_sessions_total") == 1
    batches = await worker.metric("gongji_batch_requests_count")
    assert await town.db.fetchval("SELECT last_value FROM public.transactions") <= batches + 2 * TRANSACTIONS_MORE
    assert await _told(worker, [*answers.values()], letters) == []


def _asked(operation: str, body: dict[str, Any]) -> Outgoing:
    """A request whose answer is not waited for by its sender."""
    return Outgoing(
        REQUESTS,
        f"{operation}.130100",
        orjson.dumps(body),
        type=operation,
        reply_to=REPLIES,
        correlation_id=operation,
    )


# ---- how soon its neighbours are answered ----

ROUNDS, BILLS_A_ROUND, BESIDE_EACH = 5, 60, 5


@pytest.mark.long
async def test_a_till_has_its_answers_beside_poison(
    town: World, sender: Correspondence, worker: Worker, record_property: Callable[[str, object], None]
) -> None:
    """How soon, beside as many good requests and beside poison, is told at the end of the run, not judged: a machine may have other things to do."""
    await _open(town, REPLIES)
    kinds = cycle(name for name in POISON if name != "ten mebibytes")
    took_s: dict[str, list[float]] = {"good requests": [], "poison": []}
    answers = []

    for number in range(2 * ROUNDS):
        beside = ("good requests", "poison")[number % 2]
        for _ in range(BILLS_A_ROUND):
            others = [POISON[name].sent_as(name) for name in islice(kinds, BESIDE_EACH)]
            if beside == "good requests":
                others = [sender.message(body) for body in bills(BESIDE_EACH)]
            await sender.publish(others)
            began = perf_counter()
            answers.append(await town.settle(amount_fen=1))
            took_s[beside].append(perf_counter() - began)
    await until(partial(_has, town, REPLIES, ROUNDS * BILLS_A_ROUND * BESIDE_EACH))
    for name, each in took_s.items():
        middle, worst = median(each) * 1_000, quantiles(each, n=100)[-1] * 1_000
        record_property(f"a settlement beside {name}", f"median {middle:.1f} ms, 99th percentile {worst:.1f} ms")

    assert {answer["outcome"] for answer in answers} == {"settled"}
    assert await worker.metric("gongji_broker_sessions_total") == 1


# ---- looking ----


def _answered_once(sender: Correspondence) -> bool:
    """Whether every good request was answered once: none was decided, or delivered, again for its neighbour's sake."""
    return {request_id: len(copies) for request_id, copies in sender.told.items()} == dict.fromkeys(sender.asked, 1)


async def _told(worker: Worker, answers: list[Any], letters: list[Any]) -> list[str]:
    """What of the poison is told where it must not be: in answers, dead letters' headers, the log, the metrics."""
    places = {
        "an answer": "".join(message.body.decode() for message in answers),
        "an answer's properties": repr([_ours(message) for message in answers]),
        "a dead letter's properties": repr(
            [(letter.routing_key, vars_of(letter.header.properties)) for letter in letters]
        ),
        "the log": worker.log.decode(),
        "the metrics": await worker.page("/metrics"),
    }
    return [f"{place}: {found}" for place, said in places.items() if (found := told_in(said))]


def vars_of(properties: Any) -> dict[str, Any]:
    """Every property that is set."""
    return {name: value for name, value in properties if value is not None}


def _left_out(letter: Any) -> int:
    """How many bytes of a body its dead letter says that it lacks."""
    return int(letter.header.properties.headers.get("x-gongji-bytes-left-out", 0))


def _ours(message: Any) -> Any:
    """What we wrote around an answer; its correlation id is its sender's own."""
    properties = message.header.properties
    return properties.message_type, properties.headers, properties.content_type


async def _open(world: World, queue: str) -> None:
    connection = await connect([world.amqp_url], name="tests")
    await (await open_channel(connection, confirms=False)).queue_declare(queue, durable=True)
    await close(connection)


async def _has(world: World, queue: str, messages: int) -> bool:
    return await waiting(world, queue) >= messages
