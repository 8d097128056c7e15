"""What `make mutations` makes of its runs: of the project as it is, and of each copy with a bug."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.mutations import __main__ as mutations
from tests.mutations.catalogue import MUTATIONS
from tests.mutations.runs import Run, Verdict

PASSED, FAILED, ERROR = Verdict.PASSED, Verdict.FAILED, Verdict.ERROR


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies are one and the same directory, and nothing is planted in it."""

    @contextmanager
    def copied() -> Iterator[Path]:
        yield tmp_path

    monkeypatch.setattr(mutations, "copied", copied)
    monkeypatch.setattr(mutations, "planted", lambda *_: None)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("without", "with_one", "code", "said"),
    [
        (PASSED, FAILED, 0, "4 of 4 bugs are noticed"),
        (PASSED, PASSED, 1, "0 of 4 bugs are noticed"),
        (PASSED, ERROR, 1, "0 of 4 bugs are noticed"),
        (FAILED, FAILED, 1, "do not pass (failed) without any bug"),
        (ERROR, FAILED, 1, "do not pass (error) without any bug"),
    ],
)
def test_a_bug_is_noticed_by_a_test_that_passes_without_it_and_fails_with_it(
    without: Verdict,
    with_one: Verdict,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The project as it is comes first; where it does not pass, nothing is planted."""
    runs = 0

    def run(tests: Sequence[str], *_: Any, **__: Any) -> Run:
        nonlocal runs
        runs += 1
        return Run(without if runs == 1 else with_one, ("test_it",), "[what was said]")

    monkeypatch.setattr(mutations, "run", run)

    with pytest.raises(typer.Exit) as ended:
        mutations.main(only="payer")

    told = capsys.readouterr().out
    assert ended.value.exit_code == code
    assert said in told
    assert ("noticed" in told) == (without is PASSED)


@pytest.mark.usefixtures("project")
def test_each_test_is_run_once_without_any_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """All together, also one that several bugs are to be noticed by."""
    ran: list[Sequence[str]] = []

    def run(tests: Sequence[str], *_: Any, **__: Any) -> Run:
        ran.append(tests)
        return Run(FAILED, (), "")

    monkeypatch.setattr(mutations, "run", run)

    with pytest.raises(typer.Exit):
        mutations.main()

    assert len(ran) == 1
    assert sorted(ran[0]) == sorted({each.caught_by for each in MUTATIONS})
