"""The main job on the real servers: requests in, money moved once, answers out."""

import asyncio

import asyncpg

from tests.support.world import World, bill, until

SOMEBODY_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def test_the_richest_relative_pays_the_whole_shortfall(world: World) -> None:
    """Two payers are bound; the one with more pays, the other is left alone."""
    world.start_worker()
    await world.family("MOTHER", "FATHER")
    await world.credit("FATHER", 1)

    answer = await world.settle(amount_fen=60_000)

    assert answer["outcome"] == "settled"
    assert answer["payer_id"] == "FATHER"
    assert answer["mutual_aid_fen"] == 60_000
    assert await world.balances() == {"MOTHER": (100_000, 0, 0), "FATHER": (40_001, 0, 0)}


async def test_two_payers_are_never_combined(world: World) -> None:
    """Two together could pay, the richest alone cannot: nobody pays."""
    world.start_worker()
    await world.family("MOTHER", "FATHER")

    answer = await world.settle(amount_fen=150_000)

    assert (answer["outcome"], answer["reason"]) == ("declined", "richest_payer_insufficient")
    assert answer["cash_fen"] == 150_000
    assert answer["settlement_id"] is None
    assert await world.count("ledger.entries") == 2


async def test_the_richest_is_picked_among_balances_that_nobody_can_change(world: World) -> None:
    """Somebody takes from the richest while a bill is being decided: who is the richest afterwards pays."""
    world.start_worker()
    await world.family("MOTHER", "FATHER")
    outside = await asyncpg.connect(world.database_url)
    taking = outside.transaction()
    await taking.start()
    await outside.execute("UPDATE ledger.accounts SET current_year_fen = 50_000 WHERE person_id = 'MOTHER'")

    settling = asyncio.create_task(world.settle(amount_fen=1_000))
    await until(lambda: world.db.fetchval(SOMEBODY_WAITS))
    await taking.commit()
    answer = await settling
    await outside.close()

    assert answer["payer_id"] == "FATHER"


async def test_a_repeated_request_gets_the_same_answer_and_moves_nothing(world: World) -> None:
    """The stored answer comes back, marked as sent again."""
    world.start_worker()
    await world.family("MOTHER")
    body = bill(amount_fen=500)

    first = await world.ask("settle", body)
    second = await world.ask("settle", body)

    assert second == {**first, "replayed": True}
    assert (await world.balances())["MOTHER"] == (99_500, 0, 0)


async def test_one_request_sent_many_times_at_once_is_decided_once(world: World) -> None:
    """Copies to several workers at the same moment get one decision."""
    for _ in range(3):
        world.start_worker()
    await world.family("MOTHER")
    body = bill(amount_fen=500)

    answers = await asyncio.gather(*(world.ask("settle", body) for _ in range(30)))

    assert {answer["settlement_id"] for answer in answers} == {answers[0]["settlement_id"]}
    assert sum(not answer["replayed"] for answer in answers) == 1
    assert (await world.balances())["MOTHER"] == (99_500, 0, 0)


async def test_the_same_id_with_other_content_is_refused(world: World) -> None:
    """A name stands for one content, whatever the operation."""
    world.start_worker()
    await world.family("MOTHER")
    body = bill(amount_fen=500)
    await world.ask("settle", body)

    answer = await world.ask("settle", {**body, "amount_fen": 501})

    assert (answer["outcome"], answer["reason"]) == ("rejected", "request_conflict")
    assert answer["amount_fen"] is None
    assert (await world.balances())["MOTHER"] == (99_500, 0, 0)


async def test_a_rejected_name_may_be_used_again(world: World) -> None:
    """What was not decided uses no name up."""
    world.start_worker()
    await world.family("MOTHER")
    body = bill(amount_fen=500, institution_id="NOBODY")
    rejected = await world.ask("settle", body)
    await world.institution("NOBODY")

    answer = await world.ask("settle", body)

    assert rejected["reason"] == "institution_unknown"
    assert answer["outcome"] == "settled"
    assert not answer["replayed"]


async def test_a_quote_names_the_payer_and_debits_nothing(world: World) -> None:
    """The decision there would be, without an id."""
    world.start_worker()
    await world.family("MOTHER")

    answer = await world.ask("quote", bill(amount_fen=500))

    assert (answer["outcome"], answer["payer_id"], answer["settlement_id"]) == ("settled", "MOTHER", None)
    assert (await world.balances())["MOTHER"] == (100_000, 0, 0)
    assert await world.count("ledger.decisions") == 1


async def test_a_lookup_tells_the_stored_answer(world: World) -> None:
    """A till that lost the answer asks for it."""
    world.start_worker()
    await world.family("MOTHER")
    body = bill(amount_fen=500)
    sent = await world.ask("settle", body)
    question = {key: body[key] for key in ("institution_id", "insured_region", "occurred_at")}

    found = await world.ask("lookup", {**question, "request_id": "q1", "original_request_id": body["request_id"]})
    missing = await world.ask("lookup", {**question, "request_id": "q2", "original_request_id": "never-sent"})

    assert found["outcome"] == "found"
    assert found["original"] == sent
    assert (found["cancelled"], found["refunded_fen"]) == (False, 0)
    assert (missing["outcome"], missing["original"]) == ("not_found", None)


async def test_eight_workers_on_one_family_never_deadlock_and_never_overdraw(world: World) -> None:
    """Two payers, eight relatives, all at once, so that every batch locks both: what is paid is what left the accounts."""
    for _ in range(8):
        world.start_worker(batch_max=7)
    await world.family("MOTHER", "FATHER", fen=25_000)
    children = [f"CHILD-{number}" for number in range(7)]
    for child in children:
        await world.person(child, insurance="resident")
        await world.bind("MOTHER", child)
        await world.bind("FATHER", child)

    answers = await asyncio.gather(
        *(world.settle(child, 130 + number) for number in range(60) for child in ["CHILD", *children])
    )

    paid = sum(answer["mutual_aid_fen"] for answer in answers)
    assert {answer["outcome"] for answer in answers} == {"settled", "declined"}
    assert sum(map(sum, (await world.balances()).values())) == 50_000 - paid
    assert await world.db.fetchval("SELECT sum(contra_fen) FROM ledger.entries WHERE contra = 'payable'") == paid
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await world.db.fetchval(deadlocks) == 0


async def test_accounts_are_locked_in_one_order(world: World) -> None:
    """Somebody holds the last of ten in that order: whoever waits for it has all the others, again and again."""
    world.start_worker()
    await world.family(*(f"PAYER-{number}" for number in range(10)))
    outside = await asyncpg.connect(world.database_url)
    free: list[str] = []

    for _ in range(3):
        async with outside.transaction():
            await outside.execute("SELECT FROM ledger.accounts WHERE person_id = 'PAYER-9' FOR UPDATE")
            settling = asyncio.create_task(world.settle(amount_fen=1))
            await until(lambda: world.db.fetchval(SOMEBODY_WAITS))
            found = await world.db.fetch("SELECT person_id FROM ledger.accounts FOR UPDATE SKIP LOCKED")
            free += [row["person_id"] for row in found]
        await settling
    await outside.close()

    assert free == []


async def test_a_worker_for_inquiries_leaves_payments_alone(world: World) -> None:
    """It answers quotes and lookups; the settlement waits for a worker of its kind."""
    world.start_worker()
    await world.family("MOTHER")
    await world.stop_workers()
    world.start_worker(consumes="inquiry")
    paying = asyncio.create_task(world.settle(amount_fen=7, request_id="PAID"))

    quote = await world.ask("quote", bill(amount_fen=7))
    before = await world.lookup("PAID")
    world.start_worker(consumes="settlement")
    paid = await paying

    assert (quote["outcome"], before["outcome"], paid["outcome"]) == ("settled", "not_found", "settled")
