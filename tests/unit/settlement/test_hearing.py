"""A lane that is given nothing is noticed, and none is that only had nothing to hear."""

import pytest

from services.settlement.hearing import Look, deaf
from shared.rabbit.topology import BULK, SETTLEMENT


def lane(*heard: int, waiting: int = 0, queue: str = SETTLEMENT, idle_as: str | None = "tag") -> list[Look]:
    """What one lane has heard at each look."""
    return [Look(queue, waiting, delivered, idle_as) for delivered in heard]


BUSY = None
PAUSED_MEANWHILE = [*lane(3, 3, idle_as="one"), *lane(3, 3, idle_as="another")]


@pytest.mark.parametrize(
    "lanes",
    [
        pytest.param([lane(0, 0, waiting=5)], id="messages stay in the queue"),
        pytest.param([lane(7, 7, waiting=1), lane(1, 4, waiting=1)], id="and are given to another"),
        pytest.param([lane(3, 3, 3, 3), lane(10, 10, 12, 12)], id="another was served twice"),
        pytest.param([lane(10, 10, 12, 12, idle_as=BUSY), lane(3, 3, 3, 3)], id="and is busy with it"),
        pytest.param(
            [lane(3, 3, 3, 3, 3), lane(10, 10, 11, 12, 12)], id="once between two looks and once between the next"
        ),
        pytest.param([lane(2, 3, 3, 3, 3), lane(8, 9, 9, 12, 12)], id="it heard something before"),
    ],
)
def test_a_lane_that_is_given_nothing_is_deaf(lanes: list[list[Look]]) -> None:
    assert deaf(looks(lanes)) == {SETTLEMENT}


@pytest.mark.parametrize(
    "lanes",
    [
        pytest.param([lane(0, waiting=5)], id="it was looked at once"),
        pytest.param([lane(0, 0, 0, 0), lane(0, 0, 0, 0)], id="nobody sends"),
        pytest.param([lane(2, 3, waiting=5)], id="it is given what there is"),
        pytest.param([lane(2, 2, waiting=5, idle_as=BUSY)], id="it has its hands full"),
        pytest.param([[*lane(2, waiting=5), *lane(2)]], id="others took what was there"),
        pytest.param([lane(3, 3, 3, 3), lane(10, 10, 11, 12)], id="the turn has not come to it"),
        pytest.param([lane(0, 0, 0, 0), lane(0, 9, 9, 9)], id="what the other was sent before it waited came late"),
        pytest.param([lane(3, 3, 3, 3), lane(10, 10, 10, 12)], id="what it is sent may still be on its way"),
        pytest.param([lane(3, 3, 3, 4), lane(10, 10, 12, 12)], id="what it was sent has come"),
        pytest.param([lane(3, 3, 3, 3, queue=BULK), lane(10, 10, 12, 14)], id="the other has another queue"),
        pytest.param([PAUSED_MEANWHILE, lane(10, 10, 12, 12)], id="it had paused"),
    ],
)
def test_a_lane_that_had_nothing_to_hear_is_not(lanes: list[list[Look]]) -> None:
    assert deaf(looks(lanes)) == set()


def looks(lanes: list[list[Look]]) -> list[tuple[Look, ...]]:
    """Look by look, what all lanes had heard."""
    return list(zip(*lanes, strict=True))
