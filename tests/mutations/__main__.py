"""`python -m tests.mutations`: plants each bug of the catalogue in a copy of the project and sees whether its test notices."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.mutations.catalogue import MUTATIONS, Mutation

PROJECT = Path(__file__).resolve().parents[2]
LEFT_BEHIND = shutil.ignore_patterns(".venv", ".local", ".git", "__pycache__", ".hypothesis", ".*_cache", "*.svg")
TEST_TIMEOUT_S = 600
# pytest's exit codes: tests ran and some failed; anything else says nothing about the bug.
NOTICED, UNNOTICED = 1, 0

console = Console(highlight=False)


def main(only: Annotated[str | None, typer.Option(help="Those whose name has this in it.")] = None) -> None:
    """Exit 1 if a bug goes unnoticed, or if a test fails without any."""
    chosen = [each for each in MUTATIONS if only is None or only in each.name]
    unnoticed = [each for each in chosen if not _is_noticed(each)]
    console.print(f"{len(chosen) - len(unnoticed)} of {len(chosen)} bugs are noticed")
    raise typer.Exit(1 if unnoticed else 0)


def planted(mutation: Mutation, directory: Path) -> None:
    """Changes the copy in `directory`. Raises ValueError where the place is not there just once."""
    file = directory / mutation.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutation.before) != 1:
        raise ValueError(f"{mutation.name}: {mutation.file} has its place {text.count(mutation.before)} times")
    file.write_text(text.replace(mutation.before, mutation.after), encoding="utf-8")


def _is_noticed(mutation: Mutation) -> bool:
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gongji-mutation-") as name:
        directory = Path(name) / "gongji"
        shutil.copytree(PROJECT, directory, ignore=LEFT_BEHIND)
        planted(mutation, directory)
        code, told = _run(mutation.caught_by, directory)
    noticed = code == NOTICED
    said = "[green]noticed[/]" if noticed else f"[red]not noticed ({code})[/]"
    console.print(f"{said} after {time.monotonic() - began_s:3.0f} s: {mutation.name}")
    if not noticed:
        console.print(told[-2_000:], markup=False)
    return noticed


def _run(test: str, directory: Path) -> tuple[int, str]:
    """How the test ends in that copy of the project, and what it said."""
    argv = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", test]
    done = subprocess.run(
        argv,
        cwd=directory,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=TEST_TIMEOUT_S,
    )
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    typer.run(main)
