"""An institution's whole day beside ours, from a file over HTTP. Contract: "reconcile"."""

import asyncio
import csv
import os
import re
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from services.binding import reconciliations, reconciling
from services.binding.app import build
from services.binding.auth import Authenticator
from services.binding.dayfile import Limits
from services.binding.days import DayAsked, Reconciliation
from services.binding.handler import Handler
from services.binding.keyring import RingFile
from services.binding.keys import Key, Keyring
from services.binding.model import Caller, Refused
from services.binding.reconciling import COMPARISONS_AT_ONCE, Reconciler
from services.binding.sealing import Sealer
from shared.domain.reasons import Reason
from shared.domain.roles import Role
from shared.domain.times import SHANGHAI, shanghai_date
from shared.postgres.pool import create_pool
from shared.runtime.serving import serving
from shared.runtime.tokens import AUDIENCE
from tests.conftest import Database
from tests.support.calendar import Clock
from tests.support.ports import free_port
from tests.support.world import AGENCY, HOSPITAL, World, bill, envelope, until

NOON = datetime(2026, 11, 22, 12, tzinfo=SHANGHAI)
TODAY = "2026-11-22"
HEADER = "request_id,account_fen,mutual_aid_fen\n"
BALANCED = HEADER + "B-1,1000,700\nB-2,50,50\n"
DIFFERING = HEADER + "B-1,1000,700\nB-2,50,49\nB-X,7,7\n"
TABLES = ("reconciliations", "reconciliation_lines", "reconciliation_differences")
OPERATOR = Caller("operator:test", Role.OPERATOR)
BEGUN = """
INSERT INTO registry.reconciliations (
    province, reconciliation_id, institution_id, insured_region, date, state, lines_read, started_at, started_by, progress_at
)
VALUES (13, '00000000-0000-7000-8000-000000000001', 'H1', '130100', '2026-11-22', 'reading', 1, $1, 'x', $1)
"""
WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
async def world(database: Database, amqp_url: str, keys: dict[str, Path], clock: Clock) -> AsyncIterator[World]:
    """At noon a hospital has settled twice: 700 fen from a mother and 300 from the patient, then 50 from the mother."""
    async with World.build(database.url, amqp_url, keys, clock) as built:
        built.start_worker()
        await built.institution(HOSPITAL)
        await built.institution(AGENCY, kind="agency")
        await built.person("CHILD")
        await built.person("MOTHER")
        await built.bind("MOTHER", "CHILD")
        for person_id, amount_fen in (("MOTHER", 900_000), ("CHILD", 300)):
            await ask(
                built,
                "credit",
                institution_id=AGENCY,
                person_id=person_id,
                fund="prior_years",
                amount_fen=amount_fen,
            )
        await settle(built, "B-1", 1_000)
        await settle(built, "B-2", 50)
        await settle(built, "B-3", 50, expense_type="fitness")
        yield built


@pytest.fixture
async def desk(database: Database, keys: dict[str, Path], clock: Clock) -> AsyncIterator[Handler]:
    """Another binding service's, beside the world's own. It has one connection more than it compares files at once."""
    pool = await create_pool(database.url, role="gongji_binding", name="tests", size_max=COMPARISONS_AT_ONCE + 1)
    yield Handler(pool, clock, Sealer(RingFile(keys["GONGJI_KEY_RING_FILE"]).current))
    pool.terminate()


@pytest.fixture
async def port(desk: Handler, keys: dict[str, Path]) -> AsyncIterator[int]:
    """Where that service listens."""
    free = free_port()
    app = build(
        desk, Authenticator(Keyring(Key.from_pem(keys["GONGJI_JWT_PUBLIC_KEY_FILE"].read_bytes())), AUDIENCE, 10)
    )
    async with serving(app, "127.0.0.1", free):
        yield free


async def ask(world: World, operation: str, **more: Any) -> dict[str, Any]:
    return await world.ask(operation, envelope(**{"occurred_at": NOON.isoformat(), **more}))


async def settle(world: World, request_id: str, amount_fen: int, **more: Any) -> dict[str, Any]:
    body = bill(amount_fen=amount_fen, request_id=request_id, occurred_at=NOON.isoformat())
    return await world.ask("settle", {**body, **more})


def place(institution_id: str = HOSPITAL, insured_region: str = "130100", date: str = TODAY) -> str:
    return f"/v1/reconciliations?institution_id={institution_id}&insured_region={insured_region}&date={date}"


async def call(world: World, method: str, path: str, content: Any = None, **headers: str) -> httpx.Response:
    """As the hospital."""
    told = {
        "Authorization": f"Bearer {world.token(Role.INSTITUTION, institution_id=HOSPITAL)}",
        "Content-Type": "text/csv",
    }
    return await world.http.request(method, path, content=content, headers={**told, **headers})


async def upload(world: World, content: Any, date: str = TODAY, key: str | None = None, **more: str) -> httpx.Response:
    return await call(world, "POST", place(date=date, **more), content, **({"Idempotency-Key": key} if key else {}))


async def listed(world: World) -> list[dict[str, Any]]:
    response = await call(world, "GET", f"/v1/reconciliations?institution_id={HOSPITAL}")
    items: list[dict[str, Any]] = response.json()["items"]
    return items


async def nothing_is_left(world: World) -> bool:
    return [await world.count(f"registry.{table}") for table in TABLES] == [0, 0, 0]


async def test_a_day_that_agrees_is_balanced(world: World, clock: Clock) -> None:
    """It is the answer, and stays to be read; what was declined is none of it, what went back is told."""
    await ask(world, "refund", original_request_id="B-1", amount_fen=100)

    response = await upload(world, BALANCED)
    made = response.json()

    assert (response.status_code, made["state"], made["lines_read"]) == (201, "balanced", 2)
    assert made["ours"] == {"count": 2, "account_fen": 1_050, "mutual_aid_fen": 750, "refunded_fen": 100}
    assert made["theirs"] == {"count": 2, "account_fen": 1_050, "mutual_aid_fen": 750}
    assert made["differences"] == {"missing_here": 0, "missing_there": 0, "different": 0}
    assert (made["institution_id"], made["insured_region"], made["date"]) == (HOSPITAL, "130100", TODAY)
    assert (await call(world, "GET", f"/v1/reconciliations/{made['reconciliation_id']}")).json() == made
    assert await listed(world) == [made]


async def test_each_difference_is_named_as_over_the_broker(world: World) -> None:
    """Both doors tell the same of the same day: totals, and line by line with both sides' figures."""
    await settle(world, "B-4", 7)
    rows = list(csv.DictReader(StringIO(DIFFERING)))
    lines = [{name: text if name == "request_id" else int(text) for name, text in row.items()} for row in rows]
    said = {"count": 3, "account_fen": 1_057, "mutual_aid_fen": 756}

    answer = await ask(world, "reconcile", date=TODAY, refunded_fen=0, lines=lines, **said)
    made = (await upload(world, DIFFERING)).json()
    found = await call(world, "GET", f"/v1/reconciliations/{made['reconciliation_id']}/differences")

    assert (made["state"], made["ours"], made["theirs"]) == (answer["outcome"], answer["ours"], said)
    assert made["differences"] == {"missing_here": 1, "missing_there": 1, "different": 1}
    assert found.json() == {"items": answer["differences"], "next": None}
    assert len(answer["differences"]) == 3


async def test_the_differences_are_a_file_for_a_clerk(world: World) -> None:
    """Their id, our id, both sides' amounts; empty where a side has nothing; it does not change with what comes after."""
    settled = await settle(world, "B-4", 7)
    made = (await upload(world, DIFFERING)).json()
    path = f"/v1/reconciliations/{made['reconciliation_id']}/differences.csv"
    await ask(world, "cancel", original_request_id="B-4")

    response = await call(world, "GET", path)
    header, *rows = csv.reader(StringIO(response.text))

    columns = (
        "request_id,kind,our_settlement_id,our_account_fen,their_account_fen,our_mutual_aid_fen,their_mutual_aid_fen"
    )
    assert header == columns.split(",")
    assert [(row[0], row[1], row[3:]) for row in rows] == [
        ("B-2", "different", ["50", "50", "50", "49"]),
        ("B-4", "missing_there", ["7", "", "7", ""]),
        ("B-X", "missing_here", ["", "7", "", "7"]),
    ]
    assert (rows[1][2], rows[2][2]) == (settled["settlement_id"], "")
    assert response.headers["Content-Type"].startswith("text/csv")
    assert f'filename="differences-H1-{TODAY}.csv"' in response.headers["Content-Disposition"]


async def test_many_differences_are_told_in_pages_and_in_one_file(world: World) -> None:
    """12,002 of them, in the order of characters, none twice and none left out, by both ways."""
    body = HEADER + "".join(f"{prefix}-{n},1,0\n" for n in range(6_000) for prefix in ("a", "Z"))
    made = (await upload(world, body)).json()
    path = f"/v1/reconciliations/{made['reconciliation_id']}/differences"

    paged: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await call(world, "GET", f"{path}?limit=200{cursor and '&cursor='}{cursor}")).json()
        paged += [each["request_id"] for each in page["items"]]
        cursor = page["next"]
    rows = list(csv.DictReader(StringIO((await call(world, "GET", f"{path}.csv")).text)))

    assert made["differences"] == {"missing_here": 12_000, "missing_there": 2, "different": 0}
    assert paged == [row["request_id"] for row in rows] == sorted(paged)
    assert len(set(paged)) == 12_002


async def test_a_day_is_from_midnight_to_midnight_in_shanghai(world: World, clock: Clock) -> None:
    """The last instant of the day before, the first and the last of the day, the first of the day after."""
    first = datetime(2026, 11, 24, tzinfo=SHANGHAI)
    moments = [
        first - timedelta(microseconds=1),
        first,
        first + timedelta(days=1, microseconds=-1),
        first + timedelta(1),
    ]
    for number, clock.now in enumerate(moments):
        await settle(world, f"M-{number}", 10**number)

    made = (await upload(world, HEADER + "M-1,10,10\nM-2,100,100\n", "2026-11-24")).json()

    assert (made["state"], made["ours"]["account_fen"]) == ("balanced", 110)


async def test_what_is_returned_counts_on_the_day_it_was_returned(world: World, clock: Clock) -> None:
    """By a refund, by a cancel; a cancelled refund is taken out again, below nothing on a day of its own."""
    clock.now += timedelta(days=1)
    await ask(world, "refund", original_request_id="B-1", amount_fen=200, request_id="BACK")
    await ask(world, "cancel", original_request_id="B-2")
    clock.now += timedelta(days=1)
    await ask(world, "cancel", original_request_id="BACK")

    made = [
        (await upload(world, BALANCED)).json(),
        (await upload(world, HEADER, "2026-11-23")).json(),
        (await upload(world, HEADER, "2026-11-24")).json(),
    ]

    assert [(each["state"], each["ours"]["refunded_fen"]) for each in made] == [
        ("balanced", 0),
        ("balanced", 250),
        ("balanced", -200),
    ]


async def test_only_the_institutions_own_day_within_the_province_counts(world: World) -> None:
    """Another hospital, and the same hospital's patients of another province, have days of their own."""
    await world.institution("H2")
    await settle(world, "B-9", 20, institution_id="H2")

    there = (await upload(world, HEADER, insured_region="120100")).json()
    here = (await upload(world, BALANCED, insured_region="139900")).json()

    assert (there["state"], there["ours"]["count"]) == ("balanced", 0)
    assert (here["state"], here["ours"]["count"]) == ("balanced", 2)


async def test_one_wrong_line_and_the_whole_file_is_refused(world: World) -> None:
    """The lines are named and nothing stays, also of the thousands of good ones before."""
    good = "".join(f"G-{n},1,0\n" for n in range(12_000))

    response = await upload(world, HEADER + good + "B-1,10.00,7\n" + "\u5f20,1,1\n" * 30)
    problem = response.json()

    assert (response.status_code, problem["reason"], len(problem["fields"])) == (422, "invalid", 20)
    assert problem["fields"][0] == {"field": "line 12002", "problem": "account_fen must be whole fen, 0 to 10^11"}
    assert "张" not in response.text
    assert await nothing_is_left(world)


async def test_a_request_named_twice_is_refused_by_both_lines(world: World) -> None:
    """Neither line is taken for the right one."""
    response = await upload(world, BALANCED + "B-1,1000,700\n")

    assert (response.status_code, response.json()["fields"]) == (
        422,
        [{"field": "line 4", "problem": "names the same request_id as line 2"}],
    )
    assert await nothing_is_left(world)


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"Content-Type": "application/json"}, "Content-Type"),
        ({"Content-Length": str(100 * 1024 * 1024 + 1)}, "body"),
    ],
    ids=["no CSV", "too long"],
)
async def test_what_the_headers_tell_is_refused_before_anything_is_read(
    world: World, headers: dict[str, str], field: str
) -> None:
    read: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield BALANCED.encode()

    response = await call(world, "POST", place(), body(), **headers)

    assert (response.status_code, response.json()["fields"][0]["field"], read) == (422, field, [])
    assert await nothing_is_left(world)


async def test_a_file_longer_than_allowed_is_not_read_to_its_end(world: World, desk: Handler) -> None:
    """The piece with the line that is one too many is the last."""
    pieces = iter([BALANCED.encode(), b"B-3,1,1\n", b"B-4,1,1\n"])
    reconciler = Reconciler(desk, Limits(lines_max=2))

    done = await reconciler.reconcile(
        OPERATOR, DayAsked(HOSPITAL, "130100", shanghai_date(NOON)), one_by_one(pieces), None
    )

    assert isinstance(done, Refused)
    assert done.faults == (("line 4", "is one too many: at most 2 are compared"),)
    assert list(pieces) == [b"B-4,1,1\n"]
    assert await nothing_is_left(world)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"status": "suspended"}, "institution_suspended"),
        ({"kind": "agency"}, "institution_not_allowed"),
        (None, "institution_unknown"),
    ],
)
async def test_who_has_no_day_to_compare(world: World, said: dict[str, str] | None, reason: str) -> None:
    """As over the broker; but an operator may look at the days of one that was suspended."""
    if said is None:
        await world.db.execute("DELETE FROM registry.institutions WHERE institution_id = 'H1'")
    else:
        await world.institution(HOSPITAL, **said)

    own = await upload(world, BALANCED)
    operators = await world.call(Role.OPERATOR, "POST", place(), BALANCED, headers={"Content-Type": "text/csv"})

    assert (own.status_code, own.json()["reason"]) == (409, reason)
    assert operators.status_code == (201 if reason == "institution_suspended" else 409)


async def test_the_same_file_under_its_key_is_answered_once(world: World) -> None:
    """The first answer again, though the ledger has gone on; another file, or day, under the key is refused."""
    first = await upload(world, DIFFERING, key="k1")
    await settle(world, "B-4", 7)

    again = await upload(world, DIFFERING, key="k1")
    other_file = await upload(world, BALANCED, key="k1")
    other_day = await upload(world, DIFFERING, "2026-11-23", key="k1")

    assert (again.status_code, again.json()) == (201, first.json())
    assert [(each.status_code, each.json()["reason"]) for each in (other_file, other_day)] == [
        (409, "request_conflict")
    ] * 2
    assert await listed(world) == [first.json()]
    assert await world.count("registry.reconciliation_lines") == 0


async def test_the_same_file_sent_while_it_is_under_way_is_answered_afterwards(world: World) -> None:
    """Told to wait first; then the first answer again, and nothing more is left."""
    early: list[httpx.Response] = []

    async def body() -> AsyncIterator[bytes]:
        yield DIFFERING.encode()
        early.append(await upload(world, DIFFERING, key="k1"))

    first = await upload(world, body(), key="k1")
    again = await upload(world, DIFFERING, key="k1")

    assert [each.status_code for each in (first, *early, again)] == [201, 409, 201]
    assert again.json() == first.json()
    assert await listed(world) == [first.json()]


async def test_one_file_of_an_institution_is_under_way_at_a_time(world: World) -> None:
    """Of whatever day and province, whoever sends it; another institution's is compared meanwhile, and the next one afterwards."""
    await world.institution("H2")
    meanwhile: list[httpx.Response] = []

    async def body() -> AsyncIterator[bytes]:
        yield BALANCED.encode()
        asked = place(date="2026-11-21"), place(insured_region="120100"), place("H2")
        csv_file = {"Content-Type": "text/csv"}
        meanwhile.extend([await world.call(Role.OPERATOR, "POST", each, HEADER, headers=csv_file) for each in asked])

    first = await upload(world, body())
    afterwards = await upload(world, BALANCED)

    assert [each.status_code for each in meanwhile] == [409, 409, 201]
    assert [each.json()["reason"] for each in meanwhile[:2]] == ["file_under_way"] * 2
    assert [each.json()["state"] for each in (first, afterwards)] == ["balanced", "balanced"]


async def test_of_two_files_that_begin_at_once_one_is_refused(world: World) -> None:
    """Though neither had been there when the other looked."""
    other = await asyncpg.connect(world.database_url)
    beginning = other.transaction()
    await beginning.start()
    await other.execute(BEGUN, NOON)

    second = asyncio.create_task(upload(world, BALANCED))
    await until(lambda: somebody_waits(world))
    await beginning.commit()
    await other.close()

    assert (await second).json()["reason"] == "file_under_way"


async def test_files_that_are_compared_leave_room_for_others(
    world: World, desk: Handler, port: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five institutions' files two are compared. The others wait, and are not taken for abandoned however long; a clerk is answered."""
    under_way: list[str] = []
    go = asyncio.Event()
    compare = reconciliations.compare

    async def held(connection: Any, made: Reconciliation, *asked: Any, **more: Any) -> Any:
        under_way.append(made.institution_id)
        await go.wait()
        return await compare(connection, made, *asked, **more)

    monkeypatch.setattr(reconciliations, "compare", held)
    monkeypatch.setattr(reconciling, "TOLD_EVERY", timedelta(seconds=0.05))
    for number in range(2, 6):
        await world.institution(f"H{number}")
    operator = {"Authorization": f"Bearer {world.token(Role.OPERATOR)}", "Content-Type": "text/csv"}
    clerk = {"Authorization": f"Bearer {world.token(Role.CLERK)}"}

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, headers=operator) as http:
        files = [asyncio.create_task(http.post(place(f"H{number}"), content=HEADER)) for number in range(1, 6)]
        await until(lambda: world.has("registry.reconciliations", 5))
        await until(lambda: len(under_way) == COMPARISONS_AT_ONCE)
        clock.now += timedelta(minutes=10)
        await until(lambda: waiting_since(world, clock.now, 5 - COMPARISONS_AT_ONCE))
        async with desk.change() as change:
            await reconciliations.abandon_stalled(change.connection, clock.now)
        answered = await http.get("/v1/persons/CHILD", headers=clerk)
        compared_meanwhile = len(under_way)
        go.set()
        made = [(await each).json() for each in files]

    assert (answered.status_code, compared_meanwhile) == (200, COMPARISONS_AT_ONCE)
    assert [each["state"] for each in made] == ["differs", *["balanced"] * 4]


async def test_what_differs_is_kept_up_to_a_limit_within_a_day(world: World, desk: Handler, clock: Clock) -> None:
    """A file beyond it is refused whole and leaves nothing; another institution's, and the next day's, is none of it."""
    await world.institution("H2")
    reconciler = Reconciler(desk, Limits(differences_max=3))

    async def send(content: str, institution_id: str = HOSPITAL) -> Any:
        day = DayAsked(institution_id, "130100", shanghai_date(NOON))
        return await reconciler.reconcile(OPERATOR, day, one_by_one(iter([content.encode()])), None)

    kept = await send(DIFFERING)
    beyond = await send(DIFFERING)
    left = [await world.count(f"registry.{table}") for table in TABLES]
    another = await send(DIFFERING, "H2")
    up_to_it = await send(BALANCED.replace("B-2,50,50", "B-2,50,49"))
    clock.now += timedelta(hours=24, seconds=1)
    later = await send(DIFFERING)

    assert (kept.status, kept.body["differences"]) == (201, {"missing_here": 1, "missing_there": 0, "different": 1})
    assert beyond.reasons == (Reason.TOO_MANY_DIFFERENCES,)
    assert beyond.faults[0].problem.startswith(
        "2 lines differ; of an institution's files of 24 hours at most 3 differences are kept, and there are 2: "
    )
    assert left == [1, 0, 2]
    assert [each.status for each in (another, up_to_it, later)] == [201, 201, 201]


async def test_a_refused_file_does_not_use_its_key_up(world: World) -> None:
    """Corrected, it is sent again under the same key."""
    refused = await upload(world, BALANCED + "B-1,1,1\n", key="k1")

    corrected = await upload(world, BALANCED, key="k1")

    assert (refused.status_code, corrected.status_code) == (422, 201)


async def test_others_see_how_far_a_file_is_read(world: World) -> None:
    """While it is still coming, in the list and by its id; its differences are not there yet."""
    seen: list[Any] = []

    async def body() -> AsyncIterator[bytes]:
        yield HEADER.encode() + b"".join(b"G-%d,1,0\n" % n for n in range(6_000))
        (shown,) = await listed(world)
        one = await call(world, "GET", f"/v1/reconciliations/{shown['reconciliation_id']}")
        early = await call(world, "GET", f"/v1/reconciliations/{shown['reconciliation_id']}/differences.csv")
        seen.extend([shown, one.json(), early.status_code])
        yield b"H-1,1,0\n"

    made = (await upload(world, body())).json()

    shown, one, early = seen
    assert (shown["state"], shown["lines_read"], shown["ours"]) == ("reading", 6_000, None)
    assert (one, early) == (shown, 404)
    assert (made["lines_read"], made["reconciliation_id"]) == (6_001, shown["reconciliation_id"])


async def test_a_file_whose_sender_is_gone_is_abandoned(world: World, port: int) -> None:
    """Its lines go at once, and the next is not kept waiting; that it was begun is still to be seen."""
    await hang_up(world, port, HEADER.encode() + b"".join(b"G-%d,1,0\n" % n for n in range(20_000)))

    (shown,) = await listed(world)
    next_one = await upload(world, BALANCED)
    assert (shown["state"], shown["compared_at"]) == ("abandoned", None)
    assert next_one.status_code == 201
    assert 5_000 <= shown["lines_read"] <= 20_000
    assert await world.count("registry.reconciliation_lines") == 0


async def test_a_file_whose_reader_died_is_abandoned(world: World, clock: Clock) -> None:
    """After five minutes without progress it is shown so, and the next file clears it away; until then that is refused."""
    await begun_by_somebody_who_died(world, NOON)
    clock.now += timedelta(minutes=4)
    waiting = [each["state"] for each in await listed(world)]
    early = await upload(world, BALANCED)
    clock.now += timedelta(minutes=2)
    given_up = [each["state"] for each in await listed(world)]
    kept = await world.count("registry.reconciliation_lines")

    await upload(world, BALANCED)

    states = await world.db.fetch("SELECT state FROM registry.reconciliations ORDER BY reconciliation_id")
    assert (waiting, given_up, kept) == (["reading"], ["abandoned"], 1)
    assert (early.status_code, early.json()["reason"]) == (409, "file_under_way")
    assert [each["state"] for each in states] == ["abandoned", "balanced"]
    assert await world.count("registry.reconciliation_lines") == 0


async def test_a_file_that_was_taken_for_abandoned_is_not_compared(world: World, clock: Clock) -> None:
    """Its reader was held up for too long; half of its lines are gone."""

    async def body() -> AsyncIterator[bytes]:
        yield HEADER.encode() + b"".join(b"G-%d,1,0\n" % n for n in range(6_000))
        clock.now += timedelta(minutes=6)
        await upload(world, BALANCED)
        yield b"H-1,1,0\n"

    response = await upload(world, body())

    assert (response.status_code, response.json()["fields"]) == (
        422,
        [{"field": "body", "problem": "took too long to come: send it again"}],
    )
    assert [each["state"] for each in await listed(world)] == ["balanced", "abandoned"]


async def test_a_long_file_is_never_held_in_memory(world: World, database: Database, keys: dict[str, Path]) -> None:
    """Neither 180,000 lines on their way in, 5 MB and ten times as much as objects, nor as many differences on their way out.

    Of a service as it is deployed, the most that it ever held: after a file of 20,000 lines, and after the long one. Together they
    are all that may differ within a day.
    """
    async with process(database.url, keys) as (client, pid):
        client.headers["Authorization"] = f"Bearer {world.token(Role.INSTITUTION, institution_id=HOSPITAL)}"
        await there_and_back(client, 20_000)
        short = held_at_most(pid)
        lines, told = await there_and_back(client, 180_000)
        long = held_at_most(pid)
        one_more = await client.post(place(), content=HEADER + "R,1,0\n", headers={"Content-Type": "text/csv"})

    assert (lines, told > 5_400_000) == (180_000, True)
    assert (one_more.status_code, one_more.json()["reason"]) == (409, "too_many_differences")
    assert long - short < 8_000_000


async def test_a_list_is_newest_first_page_by_page(world: World, clock: Clock) -> None:
    for _ in range(3):
        await upload(world, BALANCED)
        clock.now += timedelta(seconds=1)
    path = f"/v1/reconciliations?institution_id={HOSPITAL}&limit=2"

    first = (await call(world, "GET", path)).json()
    second = (await call(world, "GET", f"{path}&cursor={first['next']}")).json()

    ids = [each["reconciliation_id"] for each in first["items"] + second["items"]]
    assert (len(first["items"]), len(ids), second["next"]) == (2, 3, None)
    assert ids == sorted(ids, reverse=True)


@asynccontextmanager
async def process(database_url: str, keys: dict[str, Path]) -> AsyncIterator[tuple[httpx.AsyncClient, int]]:
    """A binding service of its own process, and somebody who talks to it."""
    told = {"GONGJI_DATABASE_URL": database_url, "GONGJI_HTTP_PORT": str(free_port())}
    files = {name: str(path) for name, path in keys.items()}
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.binding", env={**os.environ, **files, **told}, stdout=DEVNULL
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{told['GONGJI_HTTP_PORT']}", timeout=60) as client:
            await until(lambda: ready(client))
            yield client, running.pid
    finally:
        running.terminate()
        await running.wait()


async def ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).is_success
    except httpx.TransportError:
        return False


async def there_and_back(client: httpx.AsyncClient, count: int) -> tuple[int, int]:
    """Uploads so many lines of a day on which nothing was settled, and downloads them as differences; the lines that were read, the
    bytes that came back.
    """

    async def body() -> AsyncIterator[bytes]:
        yield HEADER.encode()
        for start in range(0, count, 1_000):
            yield b"".join(b"REQ-%012d,%d,0\n" % (n, n) for n in range(start, start + 1_000))

    response = await client.post(place(date="2026-11-21"), content=body(), headers={"Content-Type": "text/csv"})
    made = response.json()
    path = f"/v1/reconciliations/{made['reconciliation_id']}/differences.csv"
    async with client.stream("GET", path) as response:
        return made["lines_read"], sum([len(piece) async for piece in response.aiter_bytes()])


def held_at_most(pid: int) -> int:
    """The most memory that a process has ever held, in bytes, as Linux counts it."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) * 1024


async def one_by_one(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def hang_up(world: World, port: int, beginning: bytes) -> None:
    """Sends the beginning of a file, and goes once some of it is read."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = [
        f"POST {place()} HTTP/1.1",
        "Host: binding",
        f"Authorization: Bearer {world.token(Role.INSTITUTION, institution_id=HOSPITAL)}",
        "Content-Type: text/csv",
        "Content-Length: 10000000",
    ]
    writer.write("\r\n".join([*head, "", ""]).encode() + beginning)
    await until(lambda: some_lines_are_read(world))
    writer.close()
    await until(lambda: nothing_is_being_read(world))


async def some_lines_are_read(world: World) -> bool:
    return any(each["lines_read"] for each in await listed(world))


async def nothing_is_being_read(world: World) -> bool:
    return all(each["state"] != "reading" for each in await listed(world))


async def somebody_waits(world: World) -> bool:
    return bool(await world.db.fetchval(WAITING))


async def waiting_since(world: World, moment: datetime, files: int) -> bool:
    """Whether so many files have told at this moment that they are still there."""
    told = "SELECT count(*) FROM registry.reconciliations WHERE state = 'reading' AND progress_at = $1"
    return bool(await world.db.fetchval(told, moment) == files)


async def begun_by_somebody_who_died(world: World, moment: datetime) -> None:
    await world.db.execute(BEGUN, moment)
    await world.db.execute(
        """
        INSERT INTO registry.reconciliation_lines
        VALUES (13, '00000000-0000-7000-8000-000000000001', 2, 'R1', 1, 0)
        """
    )
