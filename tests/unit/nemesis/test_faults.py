"""What the nemesis does to a stack that is changing under it."""

from random import Random
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest

from deploy.devstack import state
from tests.nemesis.faults import FAULTS, Target


@pytest.fixture
def target() -> Target:
    return cast("Target", SimpleNamespace(database_url="postgresql://nobody@localhost/nothing"))


class Dying:
    """A session whose server goes away as soon as anything is asked of it."""

    terminated = False

    async def execute(self, *_: Any) -> None:
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    def terminate(self) -> None:
        self.terminated = True


@pytest.mark.parametrize("fault", ["account rows held", "PostgreSQL sessions ended"])
async def test_a_server_that_goes_away_as_a_fault_begins_does_not_end_the_run(
    target: Target, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lasts as long as it was to, and its session is given up."""
    session, lasted = Dying(), False

    async def connect(*_: Any, **__: Any) -> Dying:
        return session

    monkeypatch.setattr(asyncpg, "connect", connect)

    async with FAULTS[fault](target, Random(1)):  # noqa: S311 nothing hangs on it
        lasted = True

    assert lasted
    assert session.terminated


def test_a_process_that_ends_while_it_is_looked_for_is_passed_over(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ran when it was asked the first time."""
    answers = iter(["running", None])
    record = SimpleNamespace(name="settlement-1", process=lambda: next(answers))
    monkeypatch.setattr(state, "load", lambda directory: SimpleNamespace(processes=[record] if directory else []))

    found = Target.processes(cast("Target", SimpleNamespace(servers=None, services="here")), "settlement-")

    assert found == ["running"]
