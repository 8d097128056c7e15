"""The policies that ship as files."""

from collections.abc import Callable
from datetime import date, time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli.policy import app, check, load, overtaken
from cli.policy_files import read_policies
from shared.domain.policy import Funds, PolicyBook, PolicyVersion
from shared.domain.regions import Scope
from tests.support.builders import policy

EXAMPLES = sorted(Path("examples/policies").glob("*.yaml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_can_be_put_and_says_what_it_is(file: Path) -> None:
    """Each names its source, and that it is an example."""
    text = file.read_text(encoding="utf-8")

    assert read_policies(file)
    assert "EXAMPLE, not official" in text
    assert "Source:" in text


def test_the_examples_are_the_fields_own() -> None:
    """As domain.md tells them."""
    book = PolicyBook.of(
        PolicyVersion(code, 1, policy) for file in EXAMPLES for code, policy in read_policies(file).items()
    )
    day = date(2026, 11, 22)
    zhejiang, fujian = book.on("330100", day).policy, book.on("350100", day).policy
    tianjin, six = book.on("120100", day).policy, book.on("430100", day).policy

    assert (zhejiang.scope, zhejiang.funds) == (Scope.PROVINCE, Funds.PRIOR_YEARS)
    assert (fujian.scope, fujian.keep_fen) == (Scope.PROVINCE, 200_000)
    assert (tianjin.scope, len(tianjin.relations)) == (Scope.POOL, 15)
    assert (six.members_max, six.payers_max_per_beneficiary, six.unbind_after_days) == (6, 1, 90)
    assert six.members_max_by_relation == {"father": 1, "mother": 1, "spouse": 1, "children": 3}


# What a file says, and what the command says of it after the file's name.
BAD = {
    "an unknown field": (
        '"66": {effective_from: 2024-01-01, unbind_after_day: 90}',
        ": 66.unbind_after_day: no such field; fields are effective_from, scope, relations,",
    ),
    "an unknown relation": (
        '"33": {effective_from: 2024-01-01, relations: [cousin]}',
        ": 33.relations.0: Input should be 'spouse', 'father'",
    ),
    "a number that cannot be": (
        '"33": {effective_from: 2024-01-01, members_max: -1}',
        ": 33.members_max: Input should be greater than or equal to 0, not -1",
    ),
    "too deep": ('"13": ' + "[" * 5_000 + "]" * 5_000, " is nested too deeply to be read"),
    "no date": ('"33": {members_max: 8}', ": 33.effective_from: Field required"),
    "no such day": ('"33": {effective_from: 2026-02-30}', ": 33.effective_from: Input should be a valid date"),
    "no such day, said as one": ('"33": {effective_from: !!timestamp 2026-02-30}', " is not YAML: day is out of range"),
    "a bad code": ('"3": {effective_from: 2024-01-01}', ": 3: no region code"),
    "a code without quotes": ("66: {effective_from: 2024-01-01}", ': 66: quote it, "66"'),
    "a field twice": (
        '"33":\n  effective_from: 2024-01-01\n  keep_fen: 1\n  keep_fen: 2',
        ", line 4: keep_fen is there twice",
    ),
    "a region twice": (
        '"33": {effective_from: 2024-01-01}\n"33": {effective_from: 2025-01-01}',
        ", line 2: 33 is there twice",
    ),
    "never covered": (
        '"33": {effective_from: 2024-01-01, shared_expense_types: [fitness]}',
        ": 33.shared_expense_types: fitness can never be covered",
    ),
    "no such relation to limit": (
        '"33": {effective_from: 2024-01-01, members_max_by_relation: {cousin: 1}}',
        ": 33.members_max_by_relation: unknown cousin; known: ",
    ),
    "no policy": ("just words", ": must have a policy under each region code"),
    "nothing": ("", ": must have a policy under each region code"),
    "not YAML": ("a: [", " is not YAML: "),
}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("command", [check, load])
def test_a_bad_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str, command: Callable[[Path], None]
) -> None:
    """With the file, the region and the field, and what is wrong with it."""
    file = tmp_path / "two.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(typer.Exit) as ended:
        command(file)

    assert ended.value.exit_code == 1
    assert f"two.yaml{said}" in capsys.readouterr().err


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each field of each region."""
    file = tmp_path / "two.yaml"
    file.write_text('"33": {members_max: -1}\n"35": {effective_from: 2024-01-01, colour: red}', encoding="utf-8")

    with pytest.raises(typer.Exit):
        check(file)

    places = [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()]
    assert places == ["33.effective_from", "33.members_max", "35.colour"]


def test_a_time_of_day_needs_no_quotes(tmp_path: Path) -> None:
    """YAML alone would read 22:00 as the number of its minutes."""
    file = tmp_path / "two.yaml"
    file.write_text('"33": {effective_from: 2024-01-01, wallet: {closed_from: 21:30}}', encoding="utf-8")

    assert read_policies(file)["33"].wallet.closed_from == time(21, 30)


@pytest.mark.parametrize("region", ["3", "133", "1301000", "hebei", "", "13 "])
def test_a_policy_is_shown_of_a_region_code_alone(region: str) -> None:
    """Exit code 2, and what it should be."""
    done = CliRunner().invoke(app, ["show", region], env={"COLUMNS": "200"})

    assert done.exit_code == 2
    assert "two, four or six digits" in done.output


# The versions of 66 that stand, the one that is put, and the one that holds instead of it from the day it could.
EARLIER, NOW, LATER = "2026-01-01", "2026-11-22", "2027-01-01"
PUT: dict[str, tuple[list[str], str, str | None]] = {
    "the first": ([], EARLIER, None),
    "a later date": ([EARLIER], NOW, None),
    "the same date": ([EARLIER], EARLIER, None),
    "an earlier date": ([NOW], EARLIER, "66@1"),
    "before one that is still to come": ([LATER], NOW, None),
    "to come": ([NOW], LATER, None),
}


@pytest.mark.parametrize(("standing", "put", "holds"), PUT.values(), ids=PUT)
def test_a_version_that_a_later_date_overtakes_is_known(standing: list[str], put: str, holds: str | None) -> None:
    """It is put, and has no effect."""
    versions = [policy("66", number, effective_from=first) for number, first in enumerate([*standing, put], 1)]

    found = overtaken(PolicyBook.of(versions), versions[-1], date(2026, 11, 22))

    assert (found.name if found else None) == holds
