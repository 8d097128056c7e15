"""A stored decision, decided again from its record by the rule of today."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.settlement.recheck import Rechecks, Result
from services.settlement.records import WhyNot
from shared.domain.times import SHANGHAI
from shared.postgres.pool import create_pool
from tests.conftest import Database
from tests.support.calendar import Clock
from tests.support.rechecks import recheck_everything, those_that_differ
from tests.support.world import AGENCY, HOSPITAL, World, envelope

NOON = datetime(2026, 11, 22, 12, tzinfo=SHANGHAI)


@pytest.fixture
async def world(database: Database, amqp_url: str, keys: dict[str, Path]) -> AsyncIterator[World]:
    """A family's day with every kind of decision: settled, partial, declined, refunded, cancelled, given, blocked."""
    async with World.build(database.url, amqp_url, keys, Clock(NOON)) as built:
        built.start_worker()
        await built.institution(HOSPITAL)
        await built.institution(AGENCY, kind="agency")
        await built.person("CHILD", insurance="resident")
        for person in ("MOTHER", "FATHER", "SON"):
            await built.person(person)
        await built.bind("MOTHER", "CHILD")
        await built.bind("FATHER", "CHILD")
        await built.bind("MOTHER", "SON", wallet=True, auto_accept=True, annual_limit_fen=70_000)
        await built.policy("13", keep_fen=1_000, funds="all")
        now: dict[str, Any] = {"occurred_at": NOON.isoformat()}
        for person, fen in (("MOTHER", 100_000), ("FATHER", 100_000), ("SON", 300)):
            await built.credit(person, fen, **now)
        await built.settle("SON", 1_000, request_id="PAID", **now)
        await built.settle("SON", 900_000, request_id="PARTLY-PAID", **now)
        await built.settle(amount_fen=900_000, request_id="TOO-MUCH", **now)
        await built.refund("PAID", 800, request_id="GIVEN-BACK", **now)
        await built.refund("PAID", 9_000, request_id="MORE-THAN-IS-LEFT", **now)
        await built.cancel("GIVEN-BACK", request_id="TAKEN-AGAIN", **now)
        await built.cancel("PAID", request_id="UNDONE", **now)
        await built.cancel("NEVER-CAME", request_id="STOPPED", **now)
        gift = {"from_person_id": "MOTHER", "to_person_id": "SON", "to_insured_region": "130100", **now}
        for name, amount_fen in (("GIFT", 2_000), ("TOO-GREAT", 900_000)):
            await built.ask("transfer", envelope(institution_id=AGENCY, request_id=name, amount_fen=amount_fen, **gift))
        await built.cancel("GIFT", request_id="GIFT-UNDONE", institution_id=AGENCY, **now)
        yield built


async def test_every_decision_is_decided_the_same_again(world: World) -> None:
    """From what its record says alone, whatever has moved since; but for what is not kept, which is said."""
    await world.credit("FATHER", 1, occurred_at=NOON.isoformat())
    await world.person("MOTHER", status="ended")

    found = await recheck_everything(world.database_url)

    assert {name for name, each in found.items() if each.result is Result.IMPOSSIBLE} == {"NEVER-CAME", "GIFT-UNDONE"}
    assert {each.result for name, each in found.items() if name not in {"NEVER-CAME", "GIFT-UNDONE"}} == {Result.SAME}
    assert len(found) > 15


@pytest.mark.parametrize(
    ("request_id", "change", "fields"),
    [
        ("PAID", "answer = jsonb_set(answer::jsonb, '{payer_id}', '\"FATHER\"')", {"payer_id"}),
        ("PARTLY-PAID", "answer = jsonb_set(answer::jsonb, '{own_balance_fen}', '77')", {"own_balance_fen"}),
        (
            "TOO-MUCH",
            "reason = 'no_binding', answer = jsonb_set(answer::jsonb, '{reason}', '\"no_binding\"')",
            {"reason"},
        ),
        (
            "PAID",
            "record = jsonb_set(record::jsonb, '{considered,0,account,current_year_fen}', '1000')",
            {"outcome", "reason", "reason_text", "mutual_aid_fen", "cash_fen", "payer_id"},
        ),
        (
            "GIVEN-BACK",
            "record = jsonb_set(record::jsonb, '{seen,original,left}', '[]')",
            {"outcome", "reason", "reason_text"},
        ),
        (
            "GIFT",
            "record = jsonb_set(record::jsonb, '{seen,transfers_today}', '3')",
            {"outcome", "reason", "reason_text"},
        ),
    ],
)
async def test_what_was_tampered_with_is_decided_otherwise(
    world: World, request_id: str, change: str, fields: set[str]
) -> None:
    """The answer or what the rule saw: the fields that differ are named, with both values."""
    await world.db.execute(f"UPDATE ledger.decisions SET {change} WHERE request_id = $1", request_id)  # noqa: S608

    found = await those_that_differ(world.database_url)

    assert found.keys() == {request_id}
    assert fields <= found[request_id].differences.keys()


async def test_an_older_record_cannot_be_decided_again(world: World) -> None:
    """It is said why, and it is no difference."""
    await world.db.execute("UPDATE ledger.decisions SET record = record::jsonb - 'seen' WHERE request_id = 'PAID'")

    found = await recheck_everything(world.database_url)

    assert (found["PAID"].result, found["PAID"].why_not) == (Result.IMPOSSIBLE, WhyNot.RECORD_TOO_OLD)


async def test_a_request_that_could_not_have_been_accepted_cannot_be_decided_again(world: World) -> None:
    """It is said so, and the others are decided again all the same."""
    await world.db.execute("UPDATE ledger.decisions SET request = '{}' WHERE request_id = 'PAID'")

    found = await recheck_everything(world.database_url)

    assert (found["PAID"].result, found["PAID"].why_not) == (Result.IMPOSSIBLE, WhyNot.REQUEST_UNREADABLE)


async def test_the_worker_rechecks_a_sample_by_itself(world: World) -> None:
    """Of each province; a difference is counted."""
    await world.db.execute(
        "UPDATE ledger.decisions SET answer = jsonb_set(answer::jsonb, '{own_balance_fen}', '77') WHERE request_id = 'PAID'"
    )
    pool = await create_pool(world.database_url, role="gongji_settlement", name="tests", size_max=1)
    before = counted("different"), counted("same")

    sampling = Rechecks(pool, lambda: NOON, every_s=60)
    while (counted("different"), counted("same")) <= before or counted("different") == before[0]:
        await sampling.sample()
        await asyncio.sleep(0)
    await pool.close()

    assert counted("different") > before[0]


def counted(result: str) -> float:
    return REGISTRY.get_sample_value("gongji_rechecks_total", {"result": result}) or 0.0
