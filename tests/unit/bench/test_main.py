"""What the bench refuses before it starts anything."""

import pytest
import typer

from bench.__main__ import main
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
