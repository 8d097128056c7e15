"""Refund and cancel at their edges: years, wallets, undoings of undoings, provinces, and races. Contract: "refund", "cancel"."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from cli.audit import prove
from services.settlement.handler import Handler
from services.settlement.model import Resolution
from shared.domain.roles import Role
from shared.domain.times import SHANGHAI
from shared.postgres.pool import create_pool
from tests.conftest import Database
from tests.support.builders import incoming
from tests.support.calendar import Clock
from tests.support.reading import read
from tests.support.world import AGENCY, HOSPITAL, Answer, World, bill, envelope, until

NOON = datetime(2026, 11, 22, 12, tzinfo=SHANGHAI)
NEXT_YEAR = datetime(2027, 2, 1, 12, tzinfo=SHANGHAI)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
async def world(database: Database, amqp_url: str, keys: dict[str, Path], clock: Clock) -> AsyncIterator[World]:
    """A mother with 600 yuan of earlier years and 400 of this year, and her employed son with 50; a father in Tianjin."""
    async with World.build(database.url, amqp_url, keys, clock) as built:
        built.start_worker()
        await built.institution(HOSPITAL)
        await built.institution(AGENCY, kind="agency")
        for person in ("MOTHER", "CHILD"):
            await built.person(person)
        await built.person("FATHER", region_code="120100")
        await built.bind("MOTHER", "CHILD")
        clock.now += timedelta(seconds=1)
        await built.bind("FATHER", "CHILD", "son", wallet=True, auto_accept=True)
        await credit(built, "MOTHER", 40_000)
        await credit(built, "MOTHER", 60_000, fund="prior_years")
        await credit(built, "CHILD", 5_000)
        await credit(built, "FATHER", 50_000, insured_region="120100")
        yield built
        found = await prove(built.database_url)
        assert found["holds"], {name: rows for name, rows in found["broken"].items() if rows}


async def ask(world: World, operation: str, body: dict[str, Any]) -> Answer:
    return await world.ask(operation, {**body, "occurred_at": NOON.isoformat()})


async def credit(world: World, person_id: str, amount_fen: int, **more: Any) -> Answer:
    body = {"fund": "current_year", "person_id": person_id, "amount_fen": amount_fen, "institution_id": AGENCY, **more}
    return await ask(world, "credit", envelope(**body))


async def settle(world: World, request_id: str, amount_fen: int, **more: Any) -> Answer:
    return await ask(world, "settle", bill(amount_fen=amount_fen, request_id=request_id, **more))


async def refund(world: World, original: str, amount_fen: int | None = None, **more: Any) -> Answer:
    amount = {} if amount_fen is None else {"amount_fen": amount_fen}
    return await ask(world, "refund", envelope(original_request_id=original, **amount, **more))


async def cancel(world: World, original: str, **more: Any) -> Answer:
    return await ask(world, "cancel", envelope(original_request_id=original, **more))


async def give(world: World, request_id: str, amount_fen: int) -> Answer:
    people = {"from_person_id": "FATHER", "to_person_id": "CHILD", "to_insured_region": "130100"}
    body = envelope(institution_id=AGENCY, insured_region="120100", request_id=request_id, amount_fen=amount_fen)
    return await ask(world, "transfer", {**body, **people})


def money(answer: Answer) -> tuple[Any, ...]:
    return tuple(answer[name] for name in ("amount_fen", "own_account_fen", "wallet_fen", "mutual_aid_fen", "payer_id"))


# ---- what the patient has ----


async def test_the_patients_balance_is_told_also_where_only_a_relative_gets_money_back(world: World) -> None:
    """own_balance_fen is the patient's account, whether it paid or not."""
    await settle(world, "BILL", 30_000, use_own_account=False)

    refunded = await refund(world, "BILL", 1_000, request_id="BACK")
    again = await cancel(world, "BACK")
    cancelled = await cancel(world, "BILL")

    assert [each["own_balance_fen"] for each in (refunded, again, cancelled)] == [5_000] * 3


async def test_a_partial_settlement_with_a_wallet_part_goes_back_last_in_first_out(world: World) -> None:
    """Wallet before own account; the cash part is the institution's own affair."""
    await give(world, "GIFT", 2_000)
    settled = await settle(world, "BILL", 10_000, use_mutual_aid=False)

    first = await refund(world, "BILL", 1_500)
    too_much = await refund(world, "BILL", 6_000)
    rest = await refund(world, "BILL")

    assert (settled["outcome"], settled["cash_fen"]) == ("partial", 3_000)
    assert money(first) == (1_500, 0, 1_500, 0, None)
    assert too_much["reason"] == "refund_exceeds_remaining"
    assert money(rest) == (5_500, 5_000, 500, 0, None)
    assert (await world.balances())["CHILD"] == (5_000, 0, 2_000)


# ---- the years ----


async def test_a_refund_in_a_later_year_returns_this_years_money_as_earlier_years(world: World, clock: Clock) -> None:
    """Also to who has had a rollover in between; its cancel takes it from there."""
    await settle(world, "BILL", 75_000)
    clock.now = NEXT_YEAR
    await credit(world, "CHILD", 100)

    refunded = await refund(world, "BILL", request_id="BACK")
    back = await world.balances()
    cancelled = await cancel(world, "BACK")

    assert money(refunded) == money(cancelled) == (75_000, 5_000, 0, 70_000, "MOTHER")
    assert (back["CHILD"], back["MOTHER"]) == ((100, 5_000, 0), (0, 100_000, 0))
    assert (await world.balances())["CHILD"] == (100, 0, 0)


async def test_cancelling_a_refund_of_last_years_bill_uses_nothing_of_this_years_limit(
    world: World, clock: Clock
) -> None:
    """The refund gave back nothing of this year's limit, so its cancel takes nothing of it."""
    await world.person("DAUGHTER", insurance="resident")
    await world.bind("MOTHER", "DAUGHTER", "daughter", annual_limit_fen=10_000)
    await settle(world, "BILL", 9_000, person_id="DAUGHTER", credential={"type": "01", "person_id": "DAUGHTER"})
    clock.now = NEXT_YEAR
    await refund(world, "BILL", request_id="BACK")
    await cancel(world, "BACK")

    whole = await settle(
        world, "NEXT", 10_000, person_id="DAUGHTER", credential={"type": "01", "person_id": "DAUGHTER"}
    )

    assert (whole["outcome"], whole["mutual_aid_fen"]) == ("settled", 10_000)


async def test_a_credit_of_a_past_year_is_taken_from_what_it_has_become(world: World, clock: Clock) -> None:
    """This year's money of then is earlier years' by now."""
    await credit(world, "CHILD", 700, request_id="WRONG")
    clock.now = NEXT_YEAR
    await credit(world, "CHILD", 50)

    cancelled = await cancel(world, "WRONG", institution_id=AGENCY)

    assert (cancelled["effect"], money(cancelled)) == ("reversed", (700, 700, 0, 0, None))
    assert (await world.balances())["CHILD"] == (50, 5_000, 0)


# ---- undoing what undoes ----


async def test_a_settlement_whose_refund_was_cancelled_is_cancelled_whole(world: World) -> None:
    """Everything is left of it again."""
    await settle(world, "BILL", 75_000)
    await refund(world, "BILL", 72_000, request_id="BACK")
    await cancel(world, "BACK")

    cancelled = await cancel(world, "BILL")

    assert money(cancelled) == (75_000, 5_000, 0, 70_000, "MOTHER")
    assert (await world.balances())["MOTHER"] == (40_000, 60_000, 0)


async def test_a_cancel_stands(world: World) -> None:
    """Cancelling it gives its money to nobody a second time, and brings nothing back."""
    await settle(world, "BILL", 75_000)
    await cancel(world, "BILL", request_id="UNDO")
    before = await world.balances()

    cancelled = await cancel(world, "UNDO")

    assert (cancelled["outcome"], cancelled["effect"]) == ("cancelled", "nothing_to_reverse")
    assert await world.balances() == before


async def test_only_settlements_are_refunded(world: World) -> None:
    """Not a quote, a refund, a cancel, or the refund itself."""
    await ask(world, "quote", bill(request_id="QUOTE"))
    await settle(world, "BILL", 100)
    await refund(world, "BILL", request_id="BACK")
    await cancel(world, "BACK", request_id="UNDO")

    answers = [await refund(world, name) for name in ("QUOTE", "BACK", "UNDO")]
    answers.append(await refund(world, "SELF", request_id="SELF"))

    assert [each["reason"] for each in answers] == ["original_not_found"] * 4


async def test_a_cancel_of_itself_and_refunds_of_no_money_are_malformed(world: World) -> None:
    """Before anything is looked up."""
    await settle(world, "BILL", 100)

    answers = [await cancel(world, "SAME", request_id="SAME")]
    answers += [await refund(world, "BILL", fen) for fen in (0, -1, 10**11 + 1)]

    assert [each["reason"] for each in answers] == ["malformed"] * 4


async def test_the_same_name_in_two_provinces_is_two_requests(world: World) -> None:
    """A cancel in one leaves the other alone."""
    await settle(world, "BILL", 1_000)

    other = await cancel(world, "BILL", insured_region="120100")
    refunded = await refund(world, "BILL")

    assert other["effect"] == "blocked"
    assert (refunded["outcome"], refunded["amount_fen"]) == ("refunded", 1_000)


# ---- transfers ----


async def test_a_transfer_that_has_not_arrived_goes_back(world: World) -> None:
    """And is not counted as given any more."""
    await give(world, "GIFT", 2_000)

    cancelled = await cancel(world, "GIFT", institution_id=AGENCY, insured_region="120100")
    paid = await settle(world, "BILL", 6_000, use_mutual_aid=False)

    assert (cancelled["effect"], money(cancelled)) == ("reversed", (2_000, 2_000, 0, 0, None))
    assert (paid["outcome"], paid["wallet_fen"]) == ("partial", 0)
    assert (await world.balances())["FATHER"] == (50_000, 0, 0)


async def test_a_transfer_that_was_not_accepted_goes_back(world: World, clock: Clock) -> None:
    """Once cancelled, it can be accepted by nobody, and returns no second time."""
    (binding,) = (await world.call(Role.CLERK, "GET", "/v1/bindings?payer_id=FATHER")).json()["items"]
    await world.call(Role.CLERK, "POST", f"/v1/bindings/{binding['binding_id']}/end")
    clock.now += timedelta(seconds=1)
    await world.bind("FATHER", "CHILD", "son", wallet=True)
    given = await give(world, "GIFT", 2_000)

    cancelled = await cancel(world, "GIFT", institution_id=AGENCY, insured_region="120100")
    late = await world.call(Role.MEMBER, "POST", f"/v1/transfers/{given['transfer_id']}/accept", person_id="CHILD")
    twice = await cancel(world, "GIFT", institution_id=AGENCY, insured_region="120100")

    assert [each["effect"] for each in (cancelled, twice)] == ["reversed", "nothing_to_reverse"]
    assert (late.status_code, late.json()["reason"]) == (409, "transfer_returned")
    assert (await world.balances())["FATHER"] == (50_000, 0, 0)


async def test_a_transfer_that_has_arrived_is_taken_from_the_wallet_while_it_is_there(world: World) -> None:
    """Across provinces too; what was spent stays spent."""
    await give(world, "KEPT", 2_000)
    await give(world, "SPENT", 3_000)
    await settle(world, "BILL", 7_000)

    kept = await cancel(world, "KEPT", institution_id=AGENCY, insured_region="120100")
    spent = await cancel(world, "SPENT", institution_id=AGENCY, insured_region="120100")

    assert (kept["effect"], money(kept)) == ("reversed", (2_000, 2_000, 0, 0, None))
    assert (spent["outcome"], spent["reason"]) == ("declined", "balance_insufficient")
    balances = await world.balances()
    assert (balances["FATHER"], balances["CHILD"]) == ((47_000, 0, 0), (0, 0, 1_000))


# ---- two workers at once ----


async def race(world: World, *batches: list[tuple[str, dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """Batches that have read everything and wait for the same account, in this order; then they go on."""
    outside = await asyncpg.connect(world.database_url)
    pool = await create_pool(world.database_url, role="gongji_settlement", name="tests", size_max=len(batches))
    handler = Handler(pool, lambda: NOON)
    holding = outside.transaction()
    await holding.start()
    await outside.execute("SELECT FROM ledger.accounts FOR UPDATE")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    running: list[asyncio.Task[Any]] = []
    for batch in batches:
        running.append(asyncio.create_task(handler.handle([incoming(*at_noon(*each)) for each in batch])))

        async def waits(number: int = len(running)) -> bool:
            return int(await world.db.fetchval(waiting)) >= number

        await until(waits)
    await holding.rollback()
    await outside.close()
    answers = []
    for results in await asyncio.gather(*running):
        assert all(isinstance(each, Resolution) for each in results)
        answers.append([read(each.answer).model_dump() for each in results])
    await pool.close()
    return answers


def at_noon(operation: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return operation, {**body, "occurred_at": NOON.isoformat()}


def undo(original: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "cancel", envelope(original_request_id=original, **more)


async def test_a_cancelled_settlement_never_counts_again(world: World) -> None:
    """The cancel of its refund had read that it stands, and waited for its cancel."""
    await settle(world, "BILL", 75_000)
    await refund(world, "BILL", 5_000, request_id="BACK")

    (first,), (second,) = await race(world, [undo("BILL")], [undo("BACK")])

    assert [each["effect"] for each in (first, second)] == ["reversed", "nothing_to_reverse"]
    assert (await world.balances())["MOTHER"] == (40_000, 60_000, 0)


async def test_the_second_of_two_cancels_finds_nothing_left(world: World) -> None:
    """And does not say that the money is gone which the first has taken."""
    await settle(world, "BILL", 105_000)
    await refund(world, "BILL", request_id="BACK")
    await credit(world, "MOTHER", 1, request_id="WRONG")

    of_a_credit = await race(world, *([undo("WRONG", institution_id=AGENCY)] for _ in range(2)))
    of_a_refund = await race(world, [undo("BACK")], [undo("BACK")])

    assert [each["effect"] for (each,) in of_a_refund] == ["reversed", "nothing_to_reverse"]
    assert [each["effect"] for (each,) in of_a_credit] == ["reversed", "nothing_to_reverse"]


async def test_what_a_giver_has_given_is_seen_to_come(world: World) -> None:
    """A bill that waited for the giver's account does not miss the money that is gone from it."""
    await world.person("GRAN", insurance="resident")
    await world.bind("MOTHER", "GRAN", "mother", wallet=True, auto_accept=True)
    gift = envelope(institution_id=AGENCY, amount_fen=90_000, from_person_id="MOTHER", to_person_id="GRAN")
    asked = bill("GRAN", 80_000)

    (given,), (paid,) = await race(world, [("transfer", {**gift, "to_insured_region": "130100"})], [("settle", asked)])

    assert (given["outcome"], given["reason"]) == ("transferred", None)
    assert (paid["outcome"], paid["wallet_fen"]) == ("settled", 80_000)


async def test_what_one_batch_gives_it_can_spend(world: World) -> None:
    """transferred is there at once, and a cancel afterwards finds it spent."""
    await world.person("GRAN", insurance="resident")
    await world.bind("MOTHER", "GRAN", "mother", wallet=True, auto_accept=True)
    gift = envelope(institution_id=AGENCY, amount_fen=90_000, from_person_id="MOTHER", to_person_id="GRAN")

    ((given, paid, undone),) = await race(
        world,
        [
            ("transfer", {**gift, "to_insured_region": "130100", "request_id": "GIFT"}),
            ("settle", bill("GRAN", 80_000)),
            undo("GIFT", institution_id=AGENCY),
        ],
    )

    assert given["outcome"] == "transferred"
    assert (paid["outcome"], paid["wallet_fen"]) == ("settled", 80_000)
    assert undone["reason"] == "balance_insufficient"
