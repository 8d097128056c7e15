"""docs/reliability.md: every fault has its row, and every row its tests."""

import re
from pathlib import Path

from services.settlement.failpoints import ACTIONS, PLACES
from tests.contracts.test_docs import ROOT, rows
from tests.mutations.catalogue import MUTATIONS

RELIABILITY = ROOT / "docs" / "reliability.md"
FAULTS = Path("tests/faults")
NAMED = re.compile(r"`(\w+\.py)::(\w+)`")
TO_COME = "to come"


def written_in(file: Path) -> set[str]:
    return set(re.findall(r"^(?:async )?def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE))


def test_every_fault_has_its_row() -> None:
    """Thirty, in their order."""
    assert [number for number, *_ in rows(RELIABILITY, "#")] == [str(number) for number in range(1, 31)]


def test_every_row_has_tests_or_says_that_they_are_to_come() -> None:
    """A result without a test would be a claim; so would one whose test is skipped where it is read."""
    for number, *_, named, result in rows(RELIABILITY, "#"):
        tests = NAMED.findall(named)
        holds = "holds; its tests need root" if any(_needs_root(*test) for test in tests) else "holds"
        assert result == (holds if tests else TO_COME), number


def _needs_root(file: str, name: str) -> bool:
    """Whether a test, or its whole file, is skipped for whoever is not root."""
    text = next((ROOT / "tests").rglob(file)).read_text(encoding="utf-8")
    skipped = r"pytest\.mark\.skipif\(os\.geteuid\(\) != 0[^\n]*"
    return bool(
        re.search(rf"@{skipped}\nasync def {name}\b", text) or re.search(rf"^    {skipped}", text, re.MULTILINE)
    )


def test_every_test_that_is_named_exists() -> None:
    """Under that name, in that file."""
    named = NAMED.findall(RELIABILITY.read_text(encoding="utf-8"))

    missing = [
        (file, name)
        for file, name in named
        if not any(name in written_in(found) for found in (ROOT / "tests").rglob(file))
    ]

    assert named
    assert not missing


def test_every_fault_test_is_told_of() -> None:
    """Whoever adds one says what it shows."""
    told = set(NAMED.findall(RELIABILITY.read_text(encoding="utf-8")))
    written = {(file.name, name) for file in (ROOT / FAULTS).glob("test_*.py") for name in written_in(file)}

    assert written <= told


def test_every_failpoint_is_documented() -> None:
    """Places and actions, and no others."""
    assert {place.strip("`") for place, *_ in rows(RELIABILITY, "place")} == set(PLACES)
    assert {action.strip("`") for action, *_ in rows(RELIABILITY, "action")} == set(ACTIONS)


def test_every_planted_bug_is_told_of_and_can_be_planted() -> None:
    """With the test that notices it, which exists; its place is there just once."""
    told = [(bug, f"tests/{test.strip('`')}") for bug, test in rows(RELIABILITY, "bug")]

    assert told == [(each.name, each.caught_by) for each in MUTATIONS]
    for each in MUTATIONS:
        file, _, name = each.caught_by.partition("::")
        assert name in written_in(ROOT / file), each.name
        assert (ROOT / each.file).read_text(encoding="utf-8").count(each.before) == 1, each.name
