"""What the command says: in English or in Chinese, for people or as JSON."""

import os
from dataclasses import dataclass
from typing import Any

import orjson
from rich.console import Console

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

# Exit codes: an answer that decides anything is a success, also a declined one.
ANSWERED = 0
REJECTED = 1
USAGE = 2
NO_ANSWER = 3
BROKEN = 1


@dataclass(frozen=True, slots=True)
class Speech:
    """One of the two languages."""

    chinese: bool

    def __call__(self, english: str, chinese: str) -> str:
        return chinese if self.chinese else english


def speech(lang: str | None) -> Speech:
    """The language asked for, else the one of the terminal: LC_ALL, LC_MESSAGES or LANG beginning with zh is Chinese."""
    wanted = lang or os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return Speech(wanted.lower().startswith("zh"))


def print_json(content: Any) -> None:
    """One JSON document on stdout, for other programs."""
    print(orjson.dumps(content, option=orjson.OPT_INDENT_2, default=str).decode())  # noqa: T201
