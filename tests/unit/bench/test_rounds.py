"""Who comes first in a round, and what is told of the conditions."""

from collections.abc import Awaitable, Callable

import pytest

from bench.population import Population
from bench.rounds import conditions, in_turn
from bench.stage import settings_of


@pytest.mark.parametrize(("number", "order"), [(1, ["a", "b", "c"]), (2, ["c", "b", "a"]), (3, ["a", "b", "c"])])
async def test_every_second_round_begins_with_the_last(number: int, order: list[str]) -> None:
    came: list[str] = []

    def subject(name: str) -> Callable[[], Awaitable[str]]:
        async def measured() -> str:
            came.append(name)
            return name.upper()

        return measured

    found = await in_turn(number, {name: subject(name) for name in "abc"})

    assert came == order
    assert list(found.items()) == [("a", "A"), ("b", "B"), ("c", "C")]


def test_a_result_tells_who_lives_there_and_what_the_workers_work_by() -> None:
    told = conditions(Population(families=4, seed=1), {"single": settings_of("settlement-1")}, backlog=5)

    assert (told["accounts"], told["seed"], told["backlog"]) == (8, 1, 5)
    assert told["workers"]["single"] == {
        "consumes": "settlement",
        "lanes": 2,
        "batch_max": 200,
        "prefetch": 400,
        "authenticate_senders": False,
    }


def test_the_worker_for_bulk_messages_has_few_of_its_long_messages_in_hand() -> None:
    told = settings_of("bulk")

    assert (told["consumes"], told["prefetch"]) == ("bulk", 2)


def test_workers_that_share_a_queue_have_a_lane_each() -> None:
    assert [settings_of("settlement-1", of=workers)["lanes"] for workers in (1, 2, 8)] == [2, 1, 1]


def test_what_the_environment_tells_every_worker_is_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONGJI_BATCH_MAX", "50")

    assert settings_of("settlement-1")["batch_max"] == 50
