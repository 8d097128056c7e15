"""Refund and cancel through the whole system. Contract: "refund", "cancel", "lookup"."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from cli.audit import prove
from services.settlement.handler import Handler
from services.settlement.model import Resolution
from shared.domain.roles import Role
from shared.domain.times import system_clock
from shared.postgres.pool import create_pool
from tests.support.builders import incoming
from tests.support.reading import read
from tests.support.world import AGENCY, Answer, World, bill, envelope


@pytest.fixture
async def family(world: World) -> AsyncIterator[World]:
    """A mother with 600 yuan of earlier years and 400 of this year, and her son, himself employed, with 50."""
    world.start_worker()
    await world.family("MOTHER", fen=40_000)
    await world.credit("MOTHER", 60_000, "prior_years")
    await world.person("CHILD")
    await world.credit("CHILD", 3_000)
    await world.credit("CHILD", 2_000, "prior_years")
    yield world
    found = await prove(world.database_url)
    assert found["holds"], found


def money(answer: Answer) -> tuple[Any, ...]:
    return tuple(answer[name] for name in ("amount_fen", "own_account_fen", "wallet_fen", "mutual_aid_fen", "payer_id"))


BEFORE = {"MOTHER": (40_000, 60_000, 0), "CHILD": (3_000, 2_000, 0)}


async def test_a_refund_gives_all_back_to_where_it_came_from(family: World) -> None:
    """Own account and relative, part for part."""
    settled = await family.settle(amount_fen=75_000, request_id="BILL")
    paid = await family.balances()

    refunded = await family.refund("BILL")

    assert paid == {"MOTHER": (30_000, 0, 0), "CHILD": (0, 0, 0)}
    assert (refunded["outcome"], refunded["reason"]) == ("refunded", None)
    assert money(refunded) == (75_000, 5_000, 0, 70_000, "MOTHER")
    assert (refunded["settlement_id"], refunded["own_balance_fen"]) == (settled["settlement_id"], 5_000)
    assert await family.balances() == BEFORE


async def test_partial_refunds_go_last_in_first_out(family: World) -> None:
    """The relative first, what was taken last first; then the patient; and never more than is left."""
    await family.settle(amount_fen=75_000, request_id="BILL")

    first = await family.refund("BILL", 15_000)
    second = await family.refund("BILL", 56_000)
    too_much = await family.refund("BILL", 4_001)
    last = await family.refund("BILL", 4_000)
    nothing = await family.refund("BILL")

    assert money(first) == (15_000, 0, 0, 15_000, "MOTHER")
    assert money(second) == (56_000, 1_000, 0, 55_000, "MOTHER")
    assert (too_much["outcome"], too_much["reason"]) == ("declined", "refund_exceeds_remaining")
    assert money(last) == (4_000, 4_000, 0, 0, None)
    assert (nothing["outcome"], nothing["reason"]) == ("declined", "nothing_left_to_refund")
    assert await family.balances() == BEFORE


async def test_a_cancel_undoes_what_is_left_and_the_original_never_comes_again(family: World) -> None:
    """After a partial refund the rest; then the original, its refund and another cancel find nothing."""
    asked = bill(amount_fen=75_000, request_id="BILL")
    await family.ask("settle", asked)
    await family.refund("BILL", 10_000)

    cancelled = await family.cancel("BILL", request_id="C-1")
    again = await family.cancel("BILL", request_id="C-1")
    twice = await family.cancel("BILL", request_id="C-2")
    original = await family.ask("settle", asked)
    other = await family.ask("settle", {**asked, "amount_fen": 1})
    refund = await family.refund("BILL")
    found = await family.lookup("BILL")

    assert (cancelled["outcome"], cancelled["effect"], money(cancelled)[0]) == ("cancelled", "reversed", 65_000)
    assert again["reason"] == "request_conflict"
    assert (twice["outcome"], twice["effect"], money(twice)[0]) == ("cancelled", "nothing_to_reverse", 0)
    assert (original["outcome"], original["reason"]) == ("rejected", "request_cancelled")
    assert other["reason"] == "request_conflict"
    assert (refund["outcome"], refund["reason"]) == ("declined", "nothing_left_to_refund")
    assert (found["outcome"], found["cancelled"], found["refunded_fen"]) == ("found", True, 75_000)
    assert found["original"]["outcome"] == "settled"
    assert await family.balances() == BEFORE


async def test_a_cancel_before_its_original_blocks_it(family: World) -> None:
    """Whatever comes late under that name is refused, and nothing ever moves."""
    first = await family.cancel("LATE")
    second = await family.cancel("LATE")
    late = await family.settle(amount_fen=1_000, request_id="LATE")
    credit = await family.ask(
        "credit", envelope(institution_id="H1", request_id="LATE", person_id="CHILD", fund="current_year", amount_fen=5)
    )
    refund = await family.refund("LATE")
    found = await family.lookup("LATE")

    assert [(each["outcome"], each["effect"]) for each in (first, second)] == [("cancelled", "blocked")] * 2
    assert [each["reason"] for each in (late, credit)] == ["request_cancelled"] * 2
    assert (refund["outcome"], refund["reason"]) == ("declined", "original_not_found")
    assert (found["outcome"], found["original"], found["cancelled"]) == ("not_found", None, True)
    assert await family.balances() == BEFORE


async def test_a_declined_request_is_cancelled_too(family: World) -> None:
    """Nothing moved, and nothing will."""
    await family.settle(amount_fen=75_000, request_id="NO", expense_type="fitness")

    cancelled = await family.cancel("NO")
    found = await family.lookup("NO")

    assert (cancelled["effect"], money(cancelled)) == ("nothing_to_reverse", (0, 0, 0, 0, None))
    assert (found["outcome"], found["cancelled"], found["refunded_fen"]) == ("found", True, 0)


async def test_a_refund_can_be_cancelled_and_given_again(family: World) -> None:
    """The money is taken from where it went, and is left to be refunded again."""
    await family.settle(amount_fen=75_000, request_id="BILL")
    paid = await family.balances()
    await family.refund("BILL", 72_000, request_id="BACK")

    cancelled = await family.cancel("BACK")
    after = await family.balances()
    found = await family.lookup("BILL")
    again = await family.refund("BILL", 72_000)

    assert (cancelled["effect"], money(cancelled)) == ("reversed", (72_000, 2_000, 0, 70_000, "MOTHER"))
    assert after == paid
    assert found["refunded_fen"] == 0
    assert money(again) == (72_000, 2_000, 0, 70_000, "MOTHER")


async def test_a_refund_whose_money_is_gone_cannot_be_cancelled(family: World) -> None:
    """Part for part, or not at all: the refund stands."""
    await family.settle(amount_fen=75_000, request_id="BILL")
    await family.refund("BILL", 72_000, request_id="BACK")
    await family.settle(amount_fen=80_000, request_id="NEXT")
    before = await family.balances()

    refused = await family.cancel("BACK")

    assert (refused["outcome"], refused["reason"], refused["effect"]) == ("declined", "balance_insufficient", None)
    assert await family.balances() == before


async def test_a_refund_of_a_cancelled_settlement_is_over_with_it(family: World) -> None:
    """Taking the refund's money again would make the cancelled settlement count."""
    await family.settle(amount_fen=75_000, request_id="BILL")
    await family.refund("BILL", 5_000, request_id="BACK")
    await family.cancel("BILL")

    cancelled = await family.cancel("BACK")

    assert cancelled["effect"] == "nothing_to_reverse"
    assert await family.balances() == BEFORE


async def test_a_credit_can_be_cancelled_while_its_money_is_there(family: World) -> None:
    """From the part that it went to."""
    await family.credit("CHILD", 700, "prior_years", request_id="GOOD")
    await family.credit("CHILD", 9_999, request_id="SPENT")
    await family.settle(amount_fen=10_000, request_id="BILL", use_mutual_aid=False)

    good = await family.cancel("GOOD", institution_id=AGENCY)
    spent = await family.cancel("SPENT", institution_id=AGENCY)

    assert (good["effect"], money(good)) == ("reversed", (700, 700, 0, 0, None))
    assert (spent["outcome"], spent["reason"]) == ("declined", "balance_insufficient")
    assert (await family.balances())["CHILD"] == (2_999, 2_000, 0)


async def test_who_has_left_is_frozen_or_unbound_still_gets_it_back(family: World) -> None:
    """The money is theirs."""
    await family.settle(amount_fen=75_000, request_id="BILL")
    await family.person("MOTHER", insurance="resident")
    (await family.call(Role.OPERATOR, "POST", "/v1/accounts/MOTHER/freeze")).raise_for_status()

    refunded = await family.refund("BILL")

    assert refunded["outcome"] == "refunded"
    assert await family.balances() == BEFORE


async def test_only_the_institution_that_settled_may_refund(family: World) -> None:
    """Names are each institution's own: to another one the settlement does not exist."""
    await family.institution("H2")
    await family.settle(amount_fen=75_000, request_id="BILL")

    other = await family.refund("BILL", institution_id="H2")
    credit = await family.refund("CREDIT-1")

    assert [each["reason"] for each in (other, credit)] == ["original_not_found"] * 2


async def test_a_refund_gives_the_yearly_limit_back(world: World) -> None:
    """What was given back may be used again, and a cancelled refund has used it again."""
    world.start_worker()
    await world.family(fen=0)
    await world.person("FATHER")
    await world.bind("FATHER", "CHILD", annual_limit_fen=10_000)
    await world.credit("FATHER", 90_000)

    await world.settle(amount_fen=8_000, request_id="BILL")
    full = await world.settle(amount_fen=3_000)
    await world.refund("BILL", 5_000, request_id="BACK")
    room = await world.settle(amount_fen=3_000)
    await world.cancel("BACK")
    full_again = await world.settle(amount_fen=1)

    assert [each["reason"] for each in (full, room, full_again)] == [
        "authorised_limit_exceeded",
        None,
        "authorised_limit_exceeded",
    ]


async def test_all_of_it_in_one_batch_acts_in_the_order_of_arrival(family: World) -> None:
    """settle, refund, cancel and the next settle of the same people at once: each sees the ones before."""
    pool = await create_pool(family.database_url, role="gongji_settlement", name="tests", size_max=1)
    batch = [
        incoming("settle", bill(amount_fen=75_000, request_id="A")),
        incoming("refund", envelope(original_request_id="A", amount_fen=20_000, request_id="A-R")),
        incoming("cancel", envelope(original_request_id="A-R", request_id="A-R-C")),
        incoming("refund", envelope(original_request_id="A", amount_fen=1_000, request_id="A-R2")),
        incoming("cancel", envelope(original_request_id="A", request_id="A-C")),
        incoming("settle", bill(amount_fen=105_000, request_id="B")),
        incoming("cancel", envelope(original_request_id="C", request_id="C-C")),
        incoming("settle", bill(amount_fen=1_000, request_id="C")),
    ]

    results = await Handler(pool, system_clock).handle(batch)
    await pool.close()

    answers = [read(result.answer).model_dump() for result in results if isinstance(result, Resolution)]
    assert [(each["outcome"], each["reason"], each.get("effect")) for each in answers] == [
        ("settled", None, None),
        ("refunded", None, None),
        ("cancelled", None, "reversed"),
        ("refunded", None, None),
        ("cancelled", None, "reversed"),
        ("settled", None, None),
        ("cancelled", None, "blocked"),
        ("rejected", "request_cancelled", None),
    ]
    assert answers[4]["amount_fen"] == 74_000
    assert await family.balances() == {"MOTHER": (0, 0, 0), "CHILD": (0, 0, 0)}
