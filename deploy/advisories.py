"""`python -m deploy.advisories`: what is publicly known against the packages of uv.lock, all groups.

pip-audit asks, package by package. It counts one that an index does not answer for as good; here that is told, and where no index
answers at all, that nothing was checked. Ends with 1 where something is known.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
EXPORT = ("export", "--locked", "--no-emit-project", "--all-groups", "--no-annotate", "--quiet")
AUDIT = ("-m", "pip_audit", "--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off")
# Asked in this order; the first that answers is believed.
INDEXES = {"PyPI": ("--vulnerability-service", "pypi"), "OSV": ("--vulnerability-service", "osv")}
# How pip-audit's libraries say that nobody is there.
UNREACHABLE = ("ConnectionError", "Timeout", "HTTPError", "ServiceError")


@dataclass(frozen=True, slots=True)
class Answer:
    """What an index says: of how many packages, what is known against some, and which it does not know."""

    asked: int
    known: Sequence[str]
    unanswered: Sequence[str]

    @classmethod
    def read(cls, report: str) -> "Answer":
        packages = json.loads(report)["dependencies"]
        return cls(
            asked=len(packages),
            known=[
                f"{package['name']} {package['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'nothing yet'}"
                for package in packages
                for found in package.get("vulns", ())
            ],
            unanswered=[package["name"] for package in packages if "skip_reason" in package],
        )


def main(indexes: Mapping[str, Sequence[str]] = INDEXES) -> int:
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, *EXPORT, "--output-file", requirements], cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 our own uv
        for name, options in indexes.items():
            answer = ask(requirements, options)
            if answer is not None:
                return tell(name, answer)
    say(f"NOTHING WAS CHECKED: no index of advisories answers ({', '.join(indexes)}). Run `make check` where one does.")
    return 0


def ask(requirements: Path, options: Sequence[str]) -> Answer | None:
    """None where the index cannot be reached or knows no package at all. Raises RuntimeError where pip-audit itself fails."""
    command = [sys.executable, *AUDIT, *options, "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)  # noqa: S603 our own words
    if not done.stdout.strip():
        if any(word in done.stderr for word in UNREACHABLE):
            return None
        raise RuntimeError(f"pip-audit failed:\n{done.stderr}")
    answer = Answer.read(done.stdout)
    return None if len(answer.unanswered) == answer.asked else answer


def tell(index: str, answer: Answer) -> int:
    for each in answer.known:
        say(each)
    if answer.unanswered:
        say(f"{index} does not know, so NOT CHECKED: {', '.join(answer.unanswered)}")
    say(f"{index}: {len(answer.known)} advisories against {answer.asked - len(answer.unanswered)} locked packages")
    return 1 if answer.known else 0


def say(text: str) -> None:
    print(text)  # noqa: T201 it is a command


if __name__ == "__main__":
    sys.exit(main())
