"""What the bench holds answers against: what the ledger has decided."""

from typing import Any

from bench.answers import as_decided, decided, differences
from tests.support.world import World


async def answered(world: World) -> list[dict[str, Any]]:
    world.start_worker()
    await world.family("MOTHER")
    return [dict(await world.settle("MOTHER", fen)) for fen in (1_000, 2_000)]


async def test_answers_are_what_the_ledger_has_decided(world: World) -> None:
    answers = await answered(world)

    kept = await decided(world.database_url, answers)

    assert kept == {answer["request_id"]: as_decided(answer) for answer in answers}
    assert not differences(kept.keys(), answers, kept)


async def test_an_answer_without_a_decision_has_none_in_the_ledger(world: World) -> None:
    first, second = await answered(world)
    never_decided = {**second, "request_id": "R-never"}

    kept = await decided(world.database_url, [first, never_decided])

    assert kept.keys() == {first["request_id"]}
