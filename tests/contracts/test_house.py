"""The rules of the house hold, and each one fails when it is broken."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
LINT = Path(sys.executable).with_name("lint-imports")

# Contract, file, and the import that breaks it.
VIOLATIONS = {
    "floors": ("shared/domain/money.py", "import services.settlement.rules"),
    "strangers": ("services/binding/rules.py", "import services.settlement.rules"),
    "settlement": ("services/settlement/rules.py", "import services.settlement.handler"),
    "binding": ("services/binding/rules.py", "import services.binding.api"),
    "bookkeeping": ("services/bookkeeping/rules.py", "import services.bookkeeping.handler"),
    "shared": ("shared/messages/settle.py", "import shared.postgres.pool"),
    "purity": ("services/settlement/rules.py", "import time"),
    "postgres": ("services/settlement/handler.py", "import asyncpg"),
    "rabbit": ("services/settlement/handler.py", "import aio_pika"),
}

ASKS_THE_TIME = re.compile(
    r"\b(datetime\.now|utcnow|date\.today|datetime\.today|time\.time|localtime|gmtime)\(|from time import .*\btime\b"
    r"|\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\(\)|\bcurrent_(date|time|timestamp)\b",
    re.IGNORECASE,
)
# The clock itself; when a token is signed; when a rollover was done with and keys were read, and how far two clocks are apart,
# which nothing goes by.
MAY_ASK = {
    "services/settlement/handler.py",
    "shared/domain/times.py",
    "shared/runtime/tokens.py",
    "services/settlement/ledger.sql",
    "services/binding/keys.py",
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code to break."""
    copy = tmp_path_factory.mktemp("house")
    for name in ("services", "shared", "cli", "deploy", "bench"):
        shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "secrets"))
    shutil.copy(PROJECT / ".importlinter", copy)
    return copy


def test_the_house_stands(house: Path) -> None:
    """As it is, every contract is kept."""
    done = lint(house)

    assert done.returncode == 0, done.stdout


def test_every_contract_has_its_violation() -> None:
    """A new contract needs a row above."""
    text = (PROJECT / ".importlinter").read_text(encoding="utf-8")

    named = {
        line.split(":")[-1].rstrip("]") for line in text.splitlines() if line.startswith("[importlinter:contract:")
    }

    assert named == set(VIOLATIONS)


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_violation_is_caught(house: Path, contract: str) -> None:
    """The build fails on an import that the house does not allow."""
    file, statement = VIOLATIONS[contract]
    path = house / file
    before = path.read_text(encoding="utf-8")
    path.write_text(f"{before}\n{statement}\n", encoding="utf-8")

    done = lint(house)
    path.write_text(before, encoding="utf-8")

    assert done.returncode == 1
    assert "BROKEN" in done.stdout


def test_nothing_but_the_clock_is_asked_what_time_it_is() -> None:
    """A service's clock is passed in, to its queries too: then dates are Shanghai's wherever it runs, and a test can turn it."""
    files = [
        file
        for top in ("services", "shared")
        for suffix in ("py", "sql")
        for file in (PROJECT / top).rglob(f"*.{suffix}")
    ]

    asking = {
        str(file.relative_to(PROJECT))
        for file in files
        # A migration runs once, and a column's default says when a row was written.
        if file.parent.name != "migrations"
        and file.name not in {"schema.sql", "migrate.py"}
        and ASKS_THE_TIME.search(file.read_text(encoding="utf-8"))
    }

    assert asking == MAY_ASK
