"""The wallet: a transfer through the whole system, accepted, returned, spent. Contract: "transfer"."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.audit import prove
from services.settlement import ledger
from services.settlement.chores import Chores
from services.settlement.handler import Handler
from services.settlement.model import Resolution
from shared.domain.roles import Role
from shared.domain.times import SHANGHAI
from shared.postgres.authority import deciding
from shared.postgres.pool import connect, create_pool
from tests.conftest import Database
from tests.support.builders import incoming
from tests.support.calendar import Clock
from tests.support.meanwhile import after_statement
from tests.support.world import AGENCY, Answer, World, bill, envelope, until

NOON = datetime(2026, 11, 22, 12, tzinfo=SHANGHAI)
DEADLINE = datetime(2026, 11, 23, 6, tzinfo=SHANGHAI)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
async def world(database: Database, amqp_url: str, keys: dict[str, Path], clock: Clock) -> AsyncIterator[World]:
    """Both services at noon on 22 November 2026: a son in Tianjin has opened his wallet for his mother in Hebei."""
    async with World.build(database.url, amqp_url, keys, clock) as built:
        built.start_worker(chores_every_s=0.05)
        await built.institution("H1")
        await built.institution(AGENCY, kind="agency")
        await built.person("SON", region_code="120100")
        await built.person("MOTHER", insurance="resident")
        await built.bind("SON", "MOTHER", "mother", wallet=True)
        await built.credit("SON", 100_000, insured_region="120100", occurred_at=NOON.isoformat())
        yield built


async def give(world: World, amount_fen: int = 30_000, **more: Any) -> Answer:
    body = envelope(
        institution_id=AGENCY,
        insured_region="120100",
        occurred_at=NOON.isoformat(),
        from_person_id="SON",
        to_person_id="MOTHER",
        to_insured_region="130100",
        amount_fen=amount_fen,
    )
    return await world.ask("transfer", {**body, **more})


async def accept(world: World, transfer_id: str, person_id: str = "MOTHER") -> Any:
    return await world.call(Role.MEMBER, "POST", f"/v1/transfers/{transfer_id}/accept", person_id=person_id)


async def pay(world: World, amount_fen: int) -> Answer:
    return await world.settle("MOTHER", amount_fen, occurred_at=NOON.isoformat())


async def holds(world: World) -> bool:
    found = await prove(world.database_url)
    assert found["holds"], found
    return True


async def test_a_transfer_is_pending_until_accepted_and_then_spent(world: World) -> None:
    """The money leaves at once, waits for a yes, and the wallet pays before anybody else."""
    given = await give(world)
    before = await pay(world, 1_000)
    accepted = await accept(world, given["transfer_id"])
    after = await pay(world, 12_000)

    assert (given["outcome"], given["reason"], given["amount_fen"]) == ("pending", None, 30_000)
    assert datetime.fromisoformat(given["accept_by"]) == DEADLINE
    assert (before["outcome"], before["reason"]) == ("declined", "region_not_connected")
    assert (accepted.status_code, accepted.json()["state"]) == (200, "accepted")
    assert (after["outcome"], after["wallet_fen"], after["cash_fen"]) == ("settled", 12_000, 0)
    assert await world.balances() == {"SON": (70_000, 0, 0), "MOTHER": (0, 0, 18_000)}
    assert await holds(world)


async def quote(world: World, amount_fen: int) -> Answer:
    return await world.ask(
        "quote",
        {
            **envelope(occurred_at=NOON.isoformat(), person_id="MOTHER", care_region="130100"),
            "credential": {"type": "01", "person_id": "MOTHER"},
            "expense_type": "outpatient",
            "amount_fen": amount_fen,
        },
    )


async def test_a_quote_counts_what_was_accepted_and_moves_nothing(world: World) -> None:
    """Accepted money is the receiver's, whether the ledger has put it into the wallet or not."""
    given = await give(world)
    await accept(world, given["transfer_id"])

    quoted = await quote(world, 40_000)

    assert (quoted["wallet_fen"], quoted["cash_fen"]) == (30_000, 10_000)
    assert "MOTHER" not in await world.balances()
    assert await holds(world)


async def test_a_quote_counts_what_arrives_while_it_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quote locks nothing: between two of its statements a bill puts the gift into the wallet. It must be in one of the two."""
    given = await give(world)
    await accept(world, given["transfer_id"])

    async def bill_comes_in() -> None:
        await pay(world, 1_000)

    after_statement(monkeypatch, ledger.SQL["read_accounts"], bill_comes_in)
    quoted = await quote(world, 40_000)

    assert await world.balances() == {"SON": (70_000, 0, 0), "MOTHER": (0, 0, 29_000)}
    assert (quoted["wallet_fen"], quoted["cash_fen"]) == (30_000, 10_000)


async def test_a_quote_sees_balances_and_limits_of_one_moment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Her daughter may pay 60,000 a year and pays 50,000 between two of its statements: beside the old balance only the old use."""
    await world.person("DAUGHTER")
    await world.bind("DAUGHTER", "MOTHER", "mother", annual_limit_fen=60_000)
    await world.credit("DAUGHTER", 100_000, occurred_at=NOON.isoformat())

    async def bill_comes_in() -> None:
        await pay(world, 50_000)

    after_statement(monkeypatch, ledger.SQL["read_accounts"], bill_comes_in)
    during = await quote(world, 60_000)
    after = await quote(world, 60_000)

    assert (await world.balances())["DAUGHTER"] == (50_000, 0, 0)
    assert (during["outcome"], during["mutual_aid_fen"]) == ("settled", 60_000)
    assert (after["outcome"], after["reason"]) == ("declined", "authorised_limit_exceeded")


async def test_a_payer_to_whom_a_gift_comes_and_who_has_no_account_is_held_by_nobody(
    world: World, database: Database, clock: Clock
) -> None:
    """A bill that may not wait for what others hold waits for nothing: nobody holds an account that there is not."""
    await world.person("FATHER")
    await world.person("CHILD", insurance="resident")
    await world.bind("SON", "FATHER", "father", wallet=True)
    await world.bind("FATHER", "CHILD", "son")
    given = await give(world, to_person_id="FATHER")
    await accept(world, given["transfer_id"], "FATHER")
    asked = incoming("settle", bill("CHILD", 1_000, occurred_at=NOON.isoformat()))

    pool = await create_pool(database.url, role="gongji_settlement", name="tests", size_max=1)
    (result,) = await Handler(pool, clock).handle([asked], wait=False)
    await pool.close()

    assert isinstance(result, Resolution)
    assert (result.answer.outcome, result.answer.reason) == ("declined", "payer_balance_zero")


async def test_nobody_accepts_and_the_money_returns_at_the_deadline(world: World, clock: Clock) -> None:
    """By itself, to the part it came from; a yes after that is refused and says why."""
    given = await give(world)
    clock.now = DEADLINE

    await until(lambda: returned(world))
    late = await accept(world, given["transfer_id"])
    listed = (await world.call(Role.MEMBER, "GET", "/v1/transfers", person_id="SON")).json()

    assert (await world.balances())["SON"] == (100_000, 0, 0)
    assert (late.status_code, late.json()["reason"]) == (409, "transfer_returned")
    assert [(each["state"], each["transfer_id"]) for each in listed["items"]] == [("returned", given["transfer_id"])]
    assert await holds(world)


async def returned(world: World) -> bool:
    return bool(await world.db.fetchval("SELECT count(*) FROM ledger.transfers WHERE state = 'returned'"))


async def test_what_was_accepted_arrives_at_the_deadline_at_the_latest(world: World, clock: Clock) -> None:
    """Also where the receiver never goes to a doctor."""
    given = await give(world)
    await accept(world, given["transfer_id"])
    clock.now = DEADLINE + timedelta(seconds=1)

    await until(lambda: world.db.fetchval("SELECT count(*) FROM ledger.transfers WHERE state = 'arrived'"))

    assert await world.balances() == {"SON": (70_000, 0, 0), "MOTHER": (0, 0, 30_000)}
    assert await holds(world)


async def test_this_years_money_returns_in_the_new_year_as_earlier_years(world: World, clock: Clock) -> None:
    """Given on New Year's Eve, returned on New Year's Day."""
    clock.now = datetime(2026, 12, 31, 12, tzinfo=SHANGHAI)
    await give(world, occurred_at=clock.now.isoformat())
    clock.now = datetime(2027, 1, 1, 6, tzinfo=SHANGHAI)

    await until(lambda: returned(world))

    assert (await world.balances())["SON"] == (0, 100_000, 0)
    assert await holds(world)


@pytest.mark.parametrize("spent_fen", [0, 1], ids=["still there", "spent"])
async def test_a_transfer_that_has_arrived_is_taken_back_if_it_is_still_there(world: World, spent_fen: int) -> None:
    """From the wallet in one province to the account in another; both sides see that it went back, or it stands."""
    given = await give(world, request_id="GIFT")
    await accept(world, given["transfer_id"])
    # Any bill makes it arrive, also one that nothing pays for.
    expense = "outpatient" if spent_fen else "fitness"
    await world.settle("MOTHER", 1, occurred_at=NOON.isoformat(), expense_type=expense)

    cancelled = await world.cancel("GIFT", institution_id=AGENCY, insured_region="120100", occurred_at=NOON.isoformat())
    (seen,) = (await world.call(Role.MEMBER, "GET", "/v1/transfers", person_id="MOTHER")).json()["items"]

    if spent_fen:
        assert (cancelled["outcome"], cancelled["reason"], seen["state"]) == (
            "declined",
            "balance_insufficient",
            "accepted",
        )
    else:
        assert (cancelled["effect"], cancelled["amount_fen"], seen["state"]) == ("reversed", 30_000, "returned")
        assert await world.balances() == {"SON": (100_000, 0, 0), "MOTHER": (0, 0, 0)}
    assert await holds(world)


async def test_a_transfer_on_its_way_that_is_cancelled_goes_back_whatever_was_said(world: World) -> None:
    """Accepted and not yet arrived: it returns, and can be accepted no more."""
    given = await give(world, request_id="GIFT")
    await accept(world, given["transfer_id"])

    cancelled = await world.cancel("GIFT", institution_id=AGENCY, insured_region="120100", occurred_at=NOON.isoformat())
    late = await accept(world, given["transfer_id"])

    assert (cancelled["effect"], late.status_code, late.json()["reason"]) == ("reversed", 409, "transfer_returned")
    assert (await world.balances())["SON"] == (100_000, 0, 0)
    assert await holds(world)


async def test_a_yes_that_was_said_already_waits_for_no_batch(world: World) -> None:
    """It changes nothing: whoever says it again and again holds no settlement up."""
    given = await give(world)
    first = await accept(world, given["transfer_id"])
    batch = await connect(world.database_url, role="gongji_settlement", name="tests")

    async with deciding(batch, [12, 13]):
        again = await accept(world, given["transfer_id"])
    await batch.close()

    assert [(each.status_code, each.json()["state"]) for each in (first, again)] == [(200, "accepted")] * 2


async def test_auto_accept_needs_no_yes(world: World, clock: Clock) -> None:
    """The binding has said it beforehand: transferred at once, and spent at once."""
    (binding,) = (await world.call(Role.CLERK, "GET", "/v1/bindings?payer_id=SON")).json()["items"]
    await world.call(Role.CLERK, "POST", f"/v1/bindings/{binding['binding_id']}/end")
    clock.now += timedelta(seconds=1)
    await world.bind("SON", "MOTHER", "mother", wallet=True, auto_accept=True)

    given = await give(world)
    paid = await pay(world, 30_000)

    assert (given["outcome"], given["accept_by"]) == ("transferred", None)
    assert (paid["outcome"], paid["wallet_fen"]) == ("settled", 30_000)
    assert await holds(world)


async def test_the_same_transfer_again_moves_nothing(world: World) -> None:
    """As with every request: the stored answer."""
    first = await give(world, request_id="GIFT-1")
    again = await give(world, request_id="GIFT-1")
    other = await give(world, amount_fen=1, request_id="GIFT-1")

    assert again == {**first, "replayed": True}
    assert (other["outcome"], other["reason"]) == ("rejected", "request_conflict")
    assert (await world.balances())["SON"] == (70_000, 0, 0)


async def test_a_yes_said_twice_counts_once(world: World) -> None:
    """Two presses on the button at once, and one more."""
    given = await give(world)

    answers = await asyncio.gather(*(accept(world, given["transfer_id"]) for _ in range(3)))
    paid = await pay(world, 50_000)

    assert {each.status_code for each in answers} == {200}
    assert paid["wallet_fen"] == 30_000
    assert await holds(world)


async def test_only_the_receiver_accepts(world: World) -> None:
    """Neither the giver nor a stranger, and an id that is not there is not found."""
    given = await give(world)

    giver = await accept(world, given["transfer_id"], "SON")
    nothing = await accept(world, "13-" + "0" * 32)

    assert (giver.status_code, nothing.status_code) == (403, 404)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param("frozen", "receiver_account_frozen", id="frozen"),
        pytest.param("suspended", "beneficiary_not_insured", id="not insured"),
        pytest.param("moved", "receiver_moved", id="moved"),
    ],
)
async def test_a_receiver_who_cannot_receive_cannot_accept(world: World, path: str, reason: str) -> None:
    """A frozen account neither gives nor receives; the receiver must be insured, and there. Put right, the yes counts."""
    given = await give(world)
    if path == "frozen":
        await world.call(Role.OPERATOR, "POST", "/v1/accounts/MOTHER/freeze")
    elif path == "moved":
        await world.person("MOTHER", insurance="resident", region_code="330100", status="suspended")
    else:
        await world.person("MOTHER", insurance="resident", status="suspended")

    refused = await accept(world, given["transfer_id"])
    await world.call(Role.OPERATOR, "POST", "/v1/accounts/MOTHER/unfreeze")
    await world.person("MOTHER", insurance="resident")
    accepted = await accept(world, given["transfer_id"])

    assert (refused.status_code, refused.json()["reason"]) == (409, reason)
    assert accepted.status_code == 200


async def test_three_transfers_a_day_and_the_fourth_tomorrow(world: World, clock: Clock) -> None:
    """Counted per giver and Shanghai day, also within one batch."""
    at_once = await asyncio.gather(*(give(world, amount_fen=100) for _ in range(4)))
    clock.now = NOON + timedelta(days=1)
    tomorrow = await give(world, amount_fen=100)

    outcomes = sorted((each["outcome"], each["reason"] or "") for each in at_once)
    assert outcomes == [("declined", "transfer_limit_reached"), *[("pending", "")] * 3]
    assert tomorrow["outcome"] == "pending"


async def test_wallet_money_is_never_shared_on(world: World) -> None:
    """Neither to a relative's bill nor into another wallet."""
    await world.person("MOTHER")
    await world.person("CHILD", insurance="resident")
    await world.bind("MOTHER", "CHILD", wallet=True)
    given = await give(world)
    await accept(world, given["transfer_id"])

    onward = await give(
        world,
        amount_fen=1,
        insured_region="130100",
        from_person_id="MOTHER",
        to_person_id="CHILD",
    )
    childs = await world.settle("CHILD", 1_000, occurred_at=NOON.isoformat())
    own = await pay(world, 1_000)

    assert (onward["outcome"], onward["reason"]) == ("declined", "balance_insufficient")
    assert (childs["outcome"], childs["reason"]) == ("declined", "payer_balance_zero")
    assert own["wallet_fen"] == 1_000


async def test_two_workers_chores_close_each_transfer_once(world: World, clock: Clock) -> None:
    """Every worker does the chores; what one is closing, the others leave alone."""
    await world.stop_workers()
    pool = await create_pool(world.database_url, role="gongji_settlement", name="tests", size_max=6)
    await world.db.execute(
        """
        INSERT INTO ledger.entries
        SELECT 12, gen_random_uuid(), 'SON', 'transfer', 'A1', 'T' || n, NULL, -10, 0, 0, 'in_transit', 10, NULL,
            '120100', NULL, now()
        FROM generate_series(1, 500) AS n;
        INSERT INTO ledger.transfers (
            province, transfer_id, from_person_id, to_province, to_person_id, binding_id, current_year_fen,
            prior_years_fen, state, made_at, accept_by
        )
        SELECT 12, movement_id, 'SON', 13, 'MOTHER', gen_random_uuid(), 10, 0, 'pending', $1, $1
        FROM ledger.entries WHERE kind = 'transfer';
        """.replace("$1", f"'{NOON.astimezone(UTC).isoformat()}'")
    )
    await world.db.execute("UPDATE ledger.accounts SET current_year_fen = current_year_fen - 5000")

    async def all_of_them() -> int:
        chores, closed = Chores(pool, clock, 1), 0
        while await world.db.fetchval("SELECT count(*) FROM ledger.transfers WHERE state = 'pending'"):
            closed += await chores.close_due_transfers()
        return closed

    async def another() -> int:
        chores, closed = Chores(pool, clock, 1), 0
        while found := await chores.close_due_transfers():
            closed += found
        return closed

    closed = await asyncio.gather(all_of_them(), another(), another())
    await pool.close()

    assert sum(closed) == 500
    assert (await world.balances())["SON"] == (100_000, 0, 0)
