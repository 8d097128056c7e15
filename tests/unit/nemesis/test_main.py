"""A run of the nemesis tells its seed, however it ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.nemesis import __main__ as nemesis
from tests.nemesis.history import History


def ends_early(*_: Any) -> list[str]:
    """As a stack does that answers nothing any more, while somebody outside finds something else."""
    raise ExceptionGroup("outside", [TimeoutError("[/] is no markup"), ValueError("a clerk was refused")])


def finds(_: Path, __: int, ___: float, history: History, struck: list[str]) -> list[str]:
    history.ask("settle", {"request_id": "S"})
    struck.append("broker killed")
    return ["S was told [/red] in two ways"]


def finds_nothing(*_: Any) -> list[str]:
    return []


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (ends_early, ["it did not come to its end", "[/] is no markup", "a clerk was refused"]),
        (finds, ["1 requests, faults: broker killed", "S was told [/red] in two ways"]),
    ],
)
def test_whatever_is_found_is_told_as_it_is_with_its_seed(
    run: Callable[..., Any], said: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An invariant that is broken, or a run that does not come to its end; the next seed may be played."""
    monkeypatch.setattr(nemesis, "_findings", run)

    held = nemesis.played(7, 1.0)

    told = capsys.readouterr().out
    assert not held
    assert told.startswith("seed 7:")
    assert all(each in told for each in said)
    assert "play it again: make nemesis SEED=7 MINUTES=1" in told


def test_where_everything_holds_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(nemesis, "_findings", finds_nothing)

    held = nemesis.played(7, 1.0)

    assert held
    assert "everything holds" in capsys.readouterr().out
