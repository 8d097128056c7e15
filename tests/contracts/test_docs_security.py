"""What docs/security.md claims, a test shows: each one that it names is there, and no claim is without one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECURITY = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`((?:\w+/)?test_\w+\.py)::(test_\w+|\*)`")
DEFINED = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)


def claims() -> list[str]:
    """The rows of all tables that say by which test they are shown."""
    rows: list[str] = []
    for table in re.findall(r"(?:^\|.*\n)+", SECURITY, re.MULTILINE):
        title, _, *body = table.splitlines()
        if title.rstrip(" |").endswith("shown by"):
            rows += body
    return rows


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(SECURITY))))
def test_what_is_named_is_there(file: str, name: str) -> None:
    """In the one file of that name; its folder is said where there are two."""
    (found,) = [each for each in (ROOT / "tests").rglob("test_*.py") if each.as_posix().endswith(f"/{file}")]

    defined = DEFINED.findall(found.read_text(encoding="utf-8"))
    assert defined if name == "*" else name in defined


def test_every_claim_names_its_test() -> None:
    """In its last cell, and nothing but tests."""
    assert len(claims()) > 50
    for claim in claims():
        shown_by = claim.rstrip(" |").rpartition("|")[2]
        assert NAMED.search(shown_by), claim
        assert not NAMED.sub("", shown_by).strip(" ,"), claim
