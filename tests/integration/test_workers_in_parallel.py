"""Any split into batches over any number of workers decides as some order one by one does, and one worker as the order
of arrival does. Contract: "refund", "cancel", "Invariants"."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from cli.audit import prove
from services.settlement.handler import Handler
from services.settlement.incoming import Incoming
from services.settlement.model import Decision, Rejection, Replay, Resolution
from shared.domain.times import SHANGHAI
from shared.messages.catalogue import CATALOGUE
from shared.messages.envelope import Operation
from shared.postgres.pool import create_pool
from tests.conftest import Database
from tests.support.reading import read, said_again
from tests.support.rechecks import those_that_differ
from tests.support.world import AGENCY, HOSPITAL, World, bill, envelope

NOON = datetime(2026, 11, 22, 12, tzinfo=SHANGHAI)
REQUESTS, WORKERS = 40, 3
PEOPLE = ("MOTHER", "FATHER", "CHILD", "SON")
# Settlements, refunds, and cancels of the hospital; credits, transfers and cancels of the agency.
NAMES = {"S": 12, "R": 9, "C": 10, "K": 3, "T": 4, "D": 5}
# The order in which transactions of the worker end is the order in which they hold what they contend for: a trigger that
# fires while a transaction commits, before it lets go of its locks, writes it down.
COMMIT_ORDER = """
CREATE TABLE public.committed (place bigint GENERATED ALWAYS AS IDENTITY, request_id text PRIMARY KEY);
CREATE FUNCTION public.commits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
$$ BEGIN INSERT INTO public.committed (request_id) VALUES (NEW.request_id) ON CONFLICT DO NOTHING; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER commits AFTER INSERT ON ledger.decisions
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.commits();
"""


class Ticking:
    """A second between any two looks, so that no two bindings are made at once."""

    def __init__(self) -> None:
        self.now = NOON - timedelta(hours=2)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
async def world(database: Database, amqp_url: str, keys: dict[str, Path]) -> AsyncIterator[World]:
    """A hospital, an agency, and as many transfers a day as anybody likes; nobody works yet."""
    async with World.build(database.url, amqp_url, keys, Ticking()) as built:
        await built.institution(HOSPITAL)
        await built.institution(AGENCY, kind="agency")
        await built.policy("13", scope="province", wallet={"per_day": 1_000})
        await built.db.execute(COMMIT_ORDER)
        yield built
        found = await prove(built.database_url)
        assert found["holds"], {name: rows for name, rows in found["broken"].items() if rows}
        assert not await those_that_differ(built.database_url)


@pytest.fixture
async def handlers(world: World) -> AsyncIterator[list[Handler]]:
    """Workers with connections of their own; their clock stands still."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(WORKERS):
            pool = await create_pool(world.database_url, role="gongji_settlement", name="tests", size_max=1)
            stack.push_async_callback(pool.close)
            made.append(Handler(pool, lambda: NOON))
        yield made


# ---- the family and what it asks ----


async def family(world: World, handler: Handler, house: str) -> None:
    """A child and an employed son, for whom both parents pay and into whose wallets one of them gives."""
    await asyncio.gather(
        *(world.person(house + who, insurance="resident" if who == "CHILD" else "employee") for who in PEOPLE)
    )
    await world.bind(f"{house}MOTHER", f"{house}CHILD", wallet=True, auto_accept=True)
    await world.bind(f"{house}FATHER", f"{house}CHILD", annual_limit_fen=3_000)
    await world.bind(f"{house}FATHER", f"{house}SON", wallet=True, auto_accept=True)
    await world.bind(f"{house}MOTHER", f"{house}SON")
    funds = [("MOTHER", 3_000, "current_year"), ("MOTHER", 4_000, "prior_years"), ("FATHER", 6_500, "prior_years")]
    funds += [("SON", 400, "current_year"), ("SON", 300, "prior_years")]
    await handler.handle([credit(f"{house}I{n}", house + who, fen, fund) for n, (who, fen, fund) in enumerate(funds)])


def request(operation: str, body: dict[str, Any]) -> Incoming:
    parsed = CATALOGUE[Operation(operation)].request.model_validate_json(
        orjson.dumps({**body, "occurred_at": NOON.isoformat()})
    )
    return Incoming(parsed)


def credit(request_id: str, person_id: str, fen: int, fund: str) -> Incoming:
    body = envelope(institution_id=AGENCY, request_id=request_id, person_id=person_id, fund=fund, amount_fen=fen)
    return request("credit", body)


def story(seed: int, house: str) -> list[Incoming]:
    """Few names, drawn again and again: copies, undoings of what comes later, undoings of undoings, other contents."""
    dice = random.Random(seed)  # noqa: S311 a game
    asked = []
    for _ in range(REQUESTS):
        kind = dice.choice("SSSSRRRCCKTD")
        number = dice.randrange(NAMES[kind])
        version = dice.choice([0] * 19 + [1])
        asked.append(told(kind, number, house, random.Random(f"{seed} {kind}{number} {version}")))  # noqa: S311
    return asked


def told(kind: str, number: int, house: str, dice: random.Random) -> Incoming:
    """The request of a name, the same each time it is told."""
    request_id = f"{house}{kind}{number}"
    fen = dice.randrange(1, 2_500)
    if kind == "S":
        flags = {name: dice.random() < 0.85 for name in ("use_own_account", "use_mutual_aid")}
        return request("settle", bill(house + dice.choice(["CHILD", "SON"]), fen, request_id=request_id, **flags))
    if kind == "K":
        return credit(request_id, house + dice.choice(["MOTHER", "FATHER", "SON"]), fen, "current_year")
    if kind == "T":
        giver, receiver = dice.choice([("MOTHER", "CHILD"), ("FATHER", "SON")])
        people = {"from_person_id": house + giver, "to_person_id": house + receiver, "to_insured_region": "130100"}
        return request(
            "transfer", envelope(institution_id=AGENCY, request_id=request_id, amount_fen=fen // 3 + 1, **people)
        )
    if kind == "R":
        amount = {} if dice.random() < 0.4 else {"amount_fen": fen}
        original = f"{house}S{dice.randrange(NAMES['S'])}"
        return request("refund", envelope(request_id=request_id, original_request_id=original, **amount))
    undone = dice.choice("SSSRRC" if kind == "C" else "KKTTD")
    others = [each for each in range(NAMES[undone]) if (undone, each) != (kind, number)]
    return request(
        "cancel",
        envelope(
            request_id=request_id,
            original_request_id=f"{house}{undone}{dice.choice(others)}",
            institution_id=HOSPITAL if kind == "C" else AGENCY,
        ),
    )


# ---- playing it ----


@dataclass
class Played:
    """What workers made of a story; `calls` are the fresh decisions of each transaction, in the order of its batch."""

    resolutions: list[Resolution] = field(default_factory=list)
    calls: list[list[Resolution]] = field(default_factory=list)

    @property
    def decided(self) -> dict[str, Resolution]:
        return {each.incoming.request.request_id: each for call in self.calls for each in call}


def split(asked: Sequence[Incoming], dice: random.Random) -> list[list[Incoming]]:
    batches, rest = [], list(asked)
    while rest:
        size = dice.randrange(1, 7)
        batches.append(rest[:size])
        rest = rest[size:]
    return batches


async def work(handler: Handler, batches: Sequence[list[Incoming]], played: Played) -> None:
    """As a worker does: what had to wait comes again."""
    for batch in batches:
        waiting = batch
        while waiting:
            results = await handler.handle(waiting)
            resolved = [each for each in results if isinstance(each, Resolution)]
            played.resolutions += resolved
            if fresh := [each for each in resolved if isinstance(each.verdict, Decision)]:
                played.calls.append(fresh)
            assert len(resolved) == len(results) or {type(each).__name__ for each in results} <= {"Resolution", "Busy"}
            waiting = [each.incoming for each in results if not isinstance(each, Resolution)]


async def one_by_one(handler: Handler, asked: Sequence[Incoming]) -> list[Resolution]:
    played = Played()
    await work(handler, [[each] for each in asked], played)
    return played.resolutions


def said(resolution: Resolution, house: str) -> dict[str, Any]:
    """An answer without what is the house's own."""
    answer = orjson.loads(resolution.answer.text.replace(house, ""))
    return {name: bool(value) if name in ("settlement_id", "transfer_id") else value for name, value in answer.items()}


def elsewhere(incoming: Incoming, house: str, other: str) -> Incoming:
    """The same request of another house."""
    body = incoming.request.model_dump_json().replace(house, other)
    return Incoming(type(incoming.request).model_validate_json(body))


# ---- the model: money by person, from the answers alone ----


def expected(played: Played, house: str) -> Counter[tuple[str, str]]:
    """What every person must have, in the personal account and in or on the way to the wallet."""
    money: Counter[tuple[str, str]] = Counter()
    money.update({("MOTHER", "personal"): 7_000, ("FATHER", "personal"): 6_500, ("SON", "personal"): 700})
    for resolution in played.decided.values():
        tell(money, resolution, played.decided, house)
    return Counter({key: fen for key, fen in money.items() if fen})


def tell(money: Counter[tuple[str, str]], resolution: Resolution, decided: dict[str, Resolution], house: str) -> None:
    request, answer = resolution.incoming.request, read(resolution.answer).model_dump()
    operation = request.operation
    sign = {"settle": -1, "credit": 1, "transfer": 1, "refund": 1}.get(operation, 0)
    of = resolution
    if operation in ("refund", "cancel"):
        if not answer["amount_fen"]:
            return
        of = decided[request.model_dump()["original_request_id"]]
        if operation == "cancel":
            sign = {"settle": 1, "refund": -1, "credit": -1, "transfer": -1}[of.incoming.operation]
        if of.incoming.operation == "refund":
            of = decided[of.incoming.request.model_dump()["original_request_id"]]
    about = of.incoming.request.model_dump()
    if of.incoming.operation == "credit":
        money[about["person_id"].removeprefix(house), "personal"] += sign * about["amount_fen"]
    elif of.incoming.operation == "transfer":
        if of.answer.outcome == "transferred":
            money[about["from_person_id"].removeprefix(house), "personal"] -= sign * about["amount_fen"]
            money[about["to_person_id"].removeprefix(house), "wallet"] += sign * about["amount_fen"]
    else:
        patient = about["person_id"].removeprefix(house)
        money[patient, "personal"] += sign * answer["own_account_fen"]
        money[patient, "wallet"] += sign * answer["wallet_fen"]
        if answer["payer_id"]:
            money[answer["payer_id"].removeprefix(house), "personal"] += sign * answer["mutual_aid_fen"]


async def held(world: World, house: str) -> Counter[tuple[str, str]]:
    rows = await world.db.fetch(
        """
        SELECT person_id, current_year_fen + prior_years_fen AS personal, wallet_fen AS wallet FROM ledger.accounts
        UNION ALL
        SELECT to_person_id, 0, current_year_fen + prior_years_fen FROM ledger.transfers WHERE state = 'accepted'
        """
    )
    money: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row["person_id"].startswith(house):
            money[row["person_id"].removeprefix(house), "personal"] += row["personal"]
            money[row["person_id"].removeprefix(house), "wallet"] += row["wallet"]
    return Counter({key: fen for key, fen in money.items() if fen})


def check_names(played: Played) -> None:
    """Copies say what was said first; what was cancelled has no effect, and what was blocked is never decided."""
    decided = played.decided
    assert len(decided) == sum(len(call) for call in played.calls), "a name was decided twice"
    cancels = [each for each in decided.values() if each.answer.outcome == "cancelled"]
    ended = {original_of(each) for each in cancels}
    assert decided.keys().isdisjoint(
        original_of(each) for each in cancels if read(each.answer).model_dump()["effect"] == "blocked"
    )
    for name, fen in left_of(decided).items():
        assert 0 <= fen <= paid(decided[name])
        assert name not in ended or fen == 0
    for each in played.resolutions:
        name = each.incoming.request.request_id
        match each.verdict:
            case Replay():
                assert read(each.answer) == said_again(read(decided[name].answer))
            case Rejection(reason):
                assert (reason == "request_cancelled" and name in ended) or reason == "request_conflict"


def left_of(decided: dict[str, Resolution]) -> dict[str, int]:
    """What must be left of each settlement."""
    left = {name: paid(each) for name, each in decided.items() if each.incoming.operation == "settle"}
    for each in decided.values():
        if each.incoming.operation not in ("refund", "cancel") or not read(each.answer).model_dump()["amount_fen"]:
            continue
        of, fen = decided[original_of(each)], read(each.answer).model_dump()["amount_fen"]
        if of.incoming.operation == "refund":
            left[original_of(of)] += fen
        elif of.incoming.operation == "settle":
            left[original_of(each)] -= fen
    return left


def original_of(resolution: Resolution) -> str:
    return str(resolution.incoming.request.model_dump()["original_request_id"])


def paid(settled: Resolution) -> int:
    answer = read(settled.answer).model_dump()
    return int(answer["own_account_fen"] + answer["wallet_fen"] + answer["mutual_aid_fen"])


# ---- the tests ----


async def test_many_workers_decide_as_one_that_takes_them_one_by_one(world: World, handlers: list[Handler]) -> None:
    """Played again one by one, in the order in which transactions ended, every decision is the same."""
    for seed in range(15):
        house, other = f"p{seed}-", f"q{seed}-"
        await family(world, handlers[0], house)
        await family(world, handlers[0], other)
        dice, played = random.Random(-seed), Played()  # noqa: S311
        shares: list[list[list[Incoming]]] = [[] for _ in handlers]
        for batch in split(story(seed, house), dice):
            shares[dice.randrange(len(handlers))].append(batch)

        await asyncio.gather(*(work(handler, share, played) for handler, share in zip(handlers, shares, strict=True)))

        check_names(played)
        assert await held(world, house) == expected(played, house), f"seed {seed}"
        order = await in_order(world, played)
        again = await one_by_one(handlers[0], [elsewhere(each.incoming, house, other) for each in order])
        for first, second in zip(order, again, strict=True):
            assert said(first, house) == said(second, other), (seed, first.incoming.request)


async def in_order(world: World, played: Played) -> list[Resolution]:
    """The decisions in an order in which they may have been made.

    A refund that finds no original contends for nothing: it was decided before whatever came under that name, and
    nothing before it concerns it.
    """
    rows = await world.db.fetch("SELECT place, request_id FROM public.committed")
    place = {row["request_id"]: row["place"] for row in rows}
    calls = sorted(played.calls, key=lambda call: min(place[each.incoming.request.request_id] for each in call))
    order = [each for call in calls for each in call]
    return sorted(order, key=lambda each: each.answer.reason != "original_not_found")


async def test_one_worker_decides_in_the_order_of_arrival(world: World, handlers: list[Handler]) -> None:
    """However what it takes at once is cut: every answer is the same, copies and rejections among them."""
    for seed in range(100, 110):
        house, other = f"p{seed}-", f"q{seed}-"
        await family(world, handlers[0], house)
        await family(world, handlers[0], other)
        played = Played()

        await work(handlers[0], split(story(seed, house), random.Random(seed)), played)  # noqa: S311
        again = await one_by_one(handlers[1], story(seed, other))

        for first, second in zip(played.resolutions, again, strict=True):
            assert said(first, house) == said(second, other), (seed, first.incoming.request)
        assert await held(world, house) == await held(world, other) == expected(played, house), f"seed {seed}"
