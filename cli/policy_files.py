"""A file of policies, or everything that is wrong with it: which file, which region, which field, what it is and should be."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cli.documents import read_document
from shared.domain.fields import NAMED
from shared.domain.policy import POLICY_CODE_PATTERN, NewPolicy, RegionPolicy


class Wrong(Exception):
    """A file that cannot be put: `problems`, each a sentence that names the file."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read_policies(file: Path) -> dict[str, RegionPolicy]:
    """The policies of a file by their codes. Raises Wrong, Unreadable."""
    said = read_document(file)
    if not (isinstance(said, dict) and said):
        raise Wrong([f"{file.name}: must have a policy under each region code"])
    policies: dict[str, RegionPolicy] = {}
    problems = []
    for code, fields in said.items():
        if not (isinstance(code, str) and re.fullmatch(POLICY_CODE_PATTERN, code)):
            problems.append(_no_code(code))
            continue
        try:
            policies[code] = NewPolicy.model_validate(fields)
        except ValidationError as error:
            problems.extend(_problems(code, error))
    if problems:
        raise Wrong([f"{file.name}: {problem}" for problem in problems])
    return policies


def _no_code(code: Any) -> str:
    if isinstance(code, int):
        return f'{code}: quote it, "{code}": unquoted it is a number'
    return f"{code}: no region code; it is two, four or six digits, in quotes"


def _problems(code: str, error: ValidationError) -> Iterator[str]:
    """Values are said too: a policy has nothing that is anybody's own."""
    for line in error.errors(include_url=False):
        place = ".".join(map(str, (code, *line["loc"])))
        problem = line["msg"].removeprefix("Value error, ")
        value = line["input"]
        is_plain = isinstance(value, str | int | float) and line["type"] != NAMED
        yield f"{place}: {problem}, not {value}" if is_plain else f"{place}: {problem}"
