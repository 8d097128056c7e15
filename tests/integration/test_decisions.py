"""GET /v1/decisions/{id}: why, told to an operator whole, to the patient as far as it is theirs."""

from typing import Any

from shared.domain.roles import Role
from tests.support.world import World


async def bill_with_two_payers(world: World) -> dict[str, Any]:
    """The mother has more; the father's account is frozen; afterwards a part is given back."""
    world.start_worker()
    await world.family("MOTHER", "FATHER")
    await world.credit("MOTHER", 5)
    await world.call(Role.OPERATOR, "POST", "/v1/accounts/FATHER/freeze")
    answer = await world.settle(amount_fen=4_000, bill_ref="BED-7")
    await world.refund(answer["request_id"], 1_500)
    return answer


async def test_an_operator_sees_how_it_came_about(world: World) -> None:
    """Candidates in the order of the rule, what was locked, what moved, what was given back; never the credential."""
    answer = await bill_with_two_payers(world)

    told = (await world.call(Role.OPERATOR, "GET", f"/v1/decisions/{answer['settlement_id']}")).json()

    assert (told["decision_id"], told["outcome"], told["policy"]) == (answer["settlement_id"], "settled", "13@0")
    assert [(each["payer_id"], each["usable_fen"], each["out"]) for each in told["candidates"]] == [
        ("MOTHER", 100_005, None),
        ("FATHER", 100_000, "payer_account_frozen"),
    ]
    assert told["locked"] == ["FATHER", "MOTHER"]
    assert [(each["person_id"], each["current_year_fen"]) for each in told["moved"]] == [("MOTHER", -4_000)]
    assert [(each["kind"], each["current_year_fen"]) for each in told["later"]] == [("refund", 1_500)]
    assert told["request"]["bill_ref"] == "BED-7"
    assert "credential" not in told["request"]
    assert told["answer"]["payer_id"] == "MOTHER"


async def test_the_patient_does_not_learn_what_relatives_have(world: World) -> None:
    """Who was considered and why somebody was out, without balances, limits and accounts of others."""
    answer = await bill_with_two_payers(world)

    response = await world.call(Role.MEMBER, "GET", f"/v1/decisions/{answer['settlement_id']}", person_id="CHILD")

    told = response.json()
    assert [(each["payer_id"], each["usable_fen"], each["limit_left_fen"]) for each in told["candidates"]] == [
        ("MOTHER", None, None),
        ("FATHER", None, None),
    ]
    assert (told["moved"], told["later"]) == ([], [])
    assert "100005" not in response.text


async def test_the_payer_may_not_look_into_the_bill(world: World) -> None:
    """It is the patient's: a payer sees amount, date and kind of institution in the list of payments, and no more."""
    answer = await bill_with_two_payers(world)

    response = await world.call(Role.MEMBER, "GET", f"/v1/decisions/{answer['settlement_id']}", person_id="MOTHER")

    assert (response.status_code, response.json()["reason"]) == (403, "forbidden")


async def test_a_refund_is_the_patients_too(world: World) -> None:
    """Whoever the bill was for may see what became of it."""
    answer = await bill_with_two_payers(world)
    settled = (await world.call(Role.OPERATOR, "GET", f"/v1/decisions/{answer['settlement_id']}")).json()
    refund_id = settled["later"][0]["movement_id"]

    told = await world.call(Role.MEMBER, "GET", f"/v1/decisions/{refund_id}", person_id="CHILD")

    assert (told.status_code, told.json()["operation"]) == (200, "refund")


async def test_an_operators_look_is_written_down(world: World) -> None:
    """With whose decision it was, known or not."""
    answer = await bill_with_two_payers(world)
    await world.call(Role.OPERATOR, "GET", f"/v1/decisions/{answer['settlement_id']}")
    missing = await world.call(Role.OPERATOR, "GET", "/v1/decisions/13-00000000000000000000000000000000")

    acts = await world.db.fetch(
        "SELECT person_ids, thing_id FROM registry.acts WHERE action = 'explain' ORDER BY act_id"
    )

    assert (missing.status_code, missing.json()["reason"]) == (404, "not_found")
    assert [(row["person_ids"], row["thing_id"]) for row in acts] == [
        (["CHILD"], answer["settlement_id"]),
        ([], "13-00000000000000000000000000000000"),
    ]
