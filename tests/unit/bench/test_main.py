"""What the bench refuses before it starts anything."""

import pytest
import typer

from bench.__main__ import main, told_otherwise
from bench.scale import ACCOUNTS_COME_BY, GROWTH
from cli.speech import USAGE


@pytest.mark.parametrize("accounts", [GROWTH.population.accounts, 10 * ACCOUNTS_COME_BY + 1])
def test_a_size_that_cannot_be_grown_to_is_refused(accounts: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as refused:
        main(grow=True, accounts=[accounts])

    assert refused.value.exit_code == USAGE
    assert f"{accounts}" in capsys.readouterr().err


def test_a_figure_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as refused:
        main(["throughputs"])

    assert refused.value.exit_code == USAGE
    assert "throughputs" in capsys.readouterr().err


def test_what_the_environment_tells_the_workers_is_not_what_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONGJI_STATE_DIR", "/var/lib/gongji")
    monkeypatch.setenv("GONGJI_LANES", "3")
    monkeypatch.setenv("GONGJI_BATCH_MAX", "50")

    assert told_otherwise() == ["GONGJI_BATCH_MAX", "GONGJI_LANES"]


def test_growth_may_be_asked_for_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        main(["growth"], accounts=[GROWTH.population.accounts])

    assert "what the others are held against" in capsys.readouterr().err
