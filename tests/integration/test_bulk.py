"""The gateway's bulk door: many settlements in one message, each still its own decision. Contract: "settle_bulk"."""

import asyncio
from typing import Any

import orjson
import pytest

from shared.messages.bulk import SETTLEMENTS_MAX
from shared.messages.catalogue import BULK_QUEUE
from tests.support.correspondence import dead_letters
from tests.support.world import HOSPITAL, World, bill, envelope

Answer = dict[str, Any]


def bulk(*settlements: Any, **more: Any) -> dict[str, Any]:
    return envelope(settlements=list(settlements), **more)


def said(answer: Answer) -> list[tuple[str | None, str, str | None]]:
    """Which request, what became of it, and why."""
    return [(each["request_id"], each["outcome"], each["reason"]) for each in answer["answers"]]


async def test_each_settlement_is_decided_by_itself_and_answered_in_order(world: World) -> None:
    """More than one batch of them; each sees what the ones before it took."""
    world.start_worker(batch_max=7)
    await world.family("MOTHER", fen=10_000)
    bills = [bill(amount_fen=400, request_id=f"bill-{number}") for number in range(30)]

    answer = await world.ask("settle_bulk", bulk(*bills, request_id="night-4"))

    assert (answer["operation"], answer["request_id"], answer["outcome"]) == ("settle_bulk", "night-4", "answered")
    assert said(answer) == [
        *((f"bill-{number}", "settled", None) for number in range(25)),
        *((f"bill-{number}", "declined", "payer_balance_zero") for number in range(25, 30)),
    ]
    assert (await world.balances())["MOTHER"] == (0, 0, 0)
    assert (await world.lookup("bill-7"))["original"] == answer["answers"][7]


async def test_what_is_wrong_with_one_harms_no_other(world: World) -> None:
    """Each is refused in its place, by its name where it has one."""
    world.start_worker()
    await world.family("MOTHER")
    wrong = {
        "negative": bill(amount_fen=-7),
        "elsewhere": bill(insured_region="330100"),
        "somebody-else": bill(institution_id="H2"),
        "unknown field": bill(colour="red"),
    }
    named = [{**each, "request_id": f"w-{place}"} for place, each in enumerate(wrong.values())]

    answer = await world.ask("settle_bulk", bulk(bill(request_id="first"), *named, {}, None, bill(request_id="last")))

    assert said(answer) == [
        ("first", "settled", None),
        *((f"w-{place}", "rejected", "malformed") for place in range(len(wrong))),
        (None, "rejected", "malformed"),
        (None, "rejected", "malformed"),
        ("last", "settled", None),
    ]
    assert await dead_letters(world) == []


async def test_a_message_that_comes_again_is_answered_from_its_decisions(world: World) -> None:
    """Nothing moves twice, and a settlement sent alone under the same name is the same."""
    world.start_worker()
    await world.family("MOTHER")
    bills = [bill(request_id=f"bill-{number}") for number in range(3)]
    message = bulk(*bills)

    first = await world.ask("settle_bulk", message)
    again = await world.ask("settle_bulk", message)
    alone = await world.ask("settle", bills[1])

    assert again == {**first, "answers": [{**each, "replayed": True} for each in first["answers"]]}
    assert alone == again["answers"][1]
    assert (await world.balances())["MOTHER"] == (97_000, 0, 0)


async def test_a_name_used_twice_in_one_message_is_decided_once(world: World) -> None:
    """The same again is a replay, something else a conflict."""
    world.start_worker()
    await world.family("MOTHER")
    one = bill(request_id="twice")

    answer = await world.ask("settle_bulk", bulk(one, one, {**one, "amount_fen": 7}))

    assert [each["replayed"] for each in answer["answers"]] == [False, True, False]
    assert said(answer)[2] == ("twice", "rejected", "request_conflict")
    assert (await world.balances())["MOTHER"] == (99_000, 0, 0)


@pytest.mark.parametrize(
    ("settlements", "problem"),
    [([], "settlements"), ([bill()] * (SETTLEMENTS_MAX + 1), "settlements"), ("all of them", "settlements")],
    ids=["none", "too many", "no list"],
)
async def test_a_message_that_is_wrong_itself_is_refused_whole(world: World, settlements: Any, problem: str) -> None:
    """Nothing in it is decided; what is wrong is named."""
    world.start_worker()
    await world.family("MOTHER")

    answer = await world.ask("settle_bulk", envelope(settlements=settlements))

    assert (answer["outcome"], answer["reason"], answer["answers"]) == ("rejected", "malformed", None)
    assert problem in answer["reason_text"]
    assert await world.count("ledger.names WHERE request_id NOT LIKE 'credit%' AND institution_id = 'H1'") == 0


async def test_as_many_as_are_allowed_come_through_in_one_message(world: World) -> None:
    """With ids as long as they may be."""
    world.start_worker()
    await world.family("MOTHER")
    bills = [bill(amount_fen=1, request_id=f"{number:064d}", bill_ref="7" * 64) for number in range(SETTLEMENTS_MAX)]

    answer = await world.ask("settle_bulk", bulk(*bills))

    assert {each["outcome"] for each in answer["answers"]} == {"settled"}
    assert [each["request_id"] for each in answer["answers"]] == [each["request_id"] for each in bills]


async def test_what_makes_postgresql_fail_is_put_aside_alone(world: World) -> None:
    """As a settle that could be sent again; its neighbours are settled."""
    await world.db.execute("ALTER TABLE ledger.names ADD CONSTRAINT tests_poison CHECK (request_id <> 'poison')")
    world.start_worker()
    await world.family("MOTHER")
    bills = [bill(request_id=name) for name in ("before", "poison", "after")]

    answer = await world.ask("settle_bulk", bulk(*bills))

    assert [each["outcome"] for each in answer["answers"]] == ["settled", "rejected", "settled"]
    (letter,) = await dead_letters(world, at_least=1)
    assert (letter.header.properties.message_type, letter.delivery.routing_key) == ("settle", "settle.130100")
    assert orjson.loads(letter.body)["request_id"] == "poison"


async def test_a_sender_who_is_not_vouched_for_is_refused_in_each_place(world: World) -> None:
    """The message's sender is the sender of all in it."""
    world.start_worker(authenticate_senders=True)
    await world.institution(HOSPITAL)

    answer = await world.ask("settle_bulk", bulk(bill(), bill()))

    assert [each["reason"] for each in answer["answers"]] == ["sender_mismatch", "sender_mismatch"]


async def test_bulk_messages_wait_in_a_queue_of_their_own(world: World) -> None:
    """A worker for tills does not take them, one for bulk messages does."""
    world.start_worker(consumes="settlement")
    await world.family("MOTHER")
    asking = asyncio.create_task(world.ask("settle_bulk", bulk(bill())))

    alone = await world.settle()
    waiting = asking.done()
    world.start_worker(consumes="bulk")
    answer = await asking

    assert (alone["outcome"], waiting) == ("settled", False)
    assert said(answer)[0][1] == "settled"
    assert BULK_QUEUE == "gongji.bulk"
