"""Failpoints: let in by the setting exactly where there is a place, and in nobody's way unless they are."""

import os
import signal

import pytest
from pydantic import ValidationError

from services.settlement import failpoints
from services.settlement.answering import Answering
from services.settlement.failpoints import ACTIONS, PLACES
from services.settlement.handler import Handler
from services.settlement.settings import SettlementSettings


def told(failpoint: str) -> SettlementSettings:
    return SettlementSettings(database_url="postgresql://x", amqp_url="amqp://x", failpoint=failpoint)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_place_and_action_may_be_set(place: str, action: str) -> None:
    """With or without the pass that is meant."""
    assert told(f"{place}:{action}").failpoint
    assert told(f"{place}:{action}:12").failpoint


@pytest.mark.parametrize(
    "wrong", ["", "after_commit", "after_commit:", "nowhere:kill", "after_commit:sleep", "after_commit:kill:0"]
)
def test_a_failpoint_that_does_not_exist_is_refused(wrong: str) -> None:
    """Rather than a worker that survives because of a misprint."""
    with pytest.raises(ValidationError):
        told(wrong)


def test_unless_one_is_armed_every_place_is_as_it_was_written() -> None:
    """Nothing is wrapped when the module is imported."""
    for kind, name, _ in PLACES.values():
        assert not hasattr(getattr(kind, name), "__wrapped__")


async def test_the_pass_that_is_meant_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third of four."""
    sent: list[tuple[int, int]] = []
    passed: list[int] = []

    async def attempt(_: Handler) -> int:
        passed.append(len(sent))
        return 7

    monkeypatch.setattr(Handler, "_attempt", attempt)
    monkeypatch.setattr(os, "kill", lambda *signalled: sent.append(signalled))
    failpoints.arm("before_begin:stop:3")
    results: list[object] = [await Handler._attempt(None) for _ in range(4)]  # type: ignore[arg-type,call-arg] # noqa: SLF001

    assert results == [7] * 4
    assert passed == [0, 0, 1, 1]
    assert sent == [(os.getpid(), signal.SIGSTOP)]


def test_places_are_methods_of_the_worker() -> None:
    """Renamed, they must be renamed here."""
    assert {kind for kind, _, _ in PLACES.values()} == {Handler, Answering}
    assert all(callable(getattr(kind, name)) for kind, name, _ in PLACES.values())
