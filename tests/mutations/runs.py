"""Tests run in a copy of the project, and what became of each: a test that fails notices a bug, one that cannot run says nothing of it."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from xml.etree import ElementTree as ET

PROJECT = Path(__file__).resolve().parents[2]
LEFT_BEHIND = shutil.ignore_patterns(".venv", ".local", ".git", "__pycache__", ".hypothesis", ".*_cache", "*.svg")
ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PYTHONDONTWRITEBYTECODE": "1"}


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    # A fixture failed, a file could not be read, nothing was found, no end came: no test has judged.
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Run:
    """How tests ended, which of them did not pass, and what was said."""

    verdict: Verdict
    not_passed: tuple[str, ...]
    said: str


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the project, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="gongji-mutation-") as name:
        directory = Path(name) / "gongji"
        shutil.copytree(PROJECT, directory, ignore=LEFT_BEHIND)
        yield directory


def run(tests: Sequence[str], directory: Path, *options: str, timeout_s: float) -> Run:
    """Runs tests, by their node ids, in a directory."""
    report = directory / "report.xml"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *options, *tests]
    try:
        done = subprocess.run(
            argv,
            cwd=directory,
            env={**ENVIRONMENT, "PYTHONPATH": str(directory)},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return Run(Verdict.ERROR, (), f"no end within {timeout_s:g} s")
    return read(report, done.stdout + done.stderr)


def read(report: Path, said: str) -> Run:
    """What pytest's report in JUnit's form says: its exit code is the same for a failure and an error."""
    cases = list(ET.parse(report).iter("testcase")) if report.exists() else []  # noqa: S314 pytest's own
    failed, errors = ([_name(case) for case in cases if case.find(kind) is not None] for kind in ("failure", "error"))
    judged = [case for case in cases if case.find("skipped") is None]
    if errors or not judged:
        return Run(Verdict.ERROR, tuple(errors), said)
    return Run(Verdict.FAILED if failed else Verdict.PASSED, tuple(failed), said)


def _name(case: ET.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"
