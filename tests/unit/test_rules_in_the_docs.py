"""What docs/rules.md tells is what happens: every example is read out of the page and played."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.domain.policy import RegionPolicy, WalletPolicy
from shared.domain.reasons import Reason
from tests.support.stories import EXAMPLE, examples, played, told

DOCS = Path(__file__).parents[2] / "docs"
ENGLISH = (DOCS / "rules.md").read_text(encoding="utf-8")
CHINESE = (DOCS / "rules.zh-CN.md").read_text(encoding="utf-8")
EXAMPLES = examples(ENGLISH)
# The number of an example and the heading that it stands under.
NAMES = [
    f"{number} {ENGLISH[: match.start()].rpartition('## ')[2].partition(chr(10))[0]}"
    for number, match in enumerate(EXAMPLE.finditer(ENGLISH), 1)
]
# From the first that a settlement can give to the last that a binding can.
REASONS = list(Reason)[list(Reason).index(Reason.PERSON_UNKNOWN) : list(Reason).index(Reason.UNAUTHENTICATED)]


@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_an_example_happens_as_it_is_told(example: str) -> None:
    """Step by step, and what is left in the end."""
    happened, left = played(example)

    said, said_left = told(example)
    assert happened == said
    assert left == said_left


def test_both_languages_have_the_same_examples() -> None:
    """In the same order, to the letter."""
    assert examples(CHINESE) == EXAMPLES


@pytest.mark.parametrize("document", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_every_code_block_is_played(document: str) -> None:
    """None in another form that nobody would read."""
    assert document.count("```") == 2 * len(EXAMPLES)


def test_every_policy_field_has_an_example() -> None:
    """Also those of the wallet."""
    put = [fields for example in EXAMPLES for fields in _policies(example)]

    named = {name for fields in put for name in fields}
    assert named == RegionPolicy.model_fields.keys()
    assert {name for fields in put for name in fields.get("wallet", {})} == WalletPolicy.model_fields.keys()


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_money_and_bindings_has_an_example(reason: Reason) -> None:
    """So that nobody has to guess what leads to it."""
    given = {
        reason
        for example in EXAMPLES
        for outcome in told(example)[0]
        for reason in [outcome.get("reason"), *outcome.get("refused", [])]
    }

    assert reason in given


@pytest.mark.parametrize("document", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_every_policy_field_is_in_the_table(document: str) -> None:
    """Whose it is, and when it is asked."""
    rows = [line for line in document.splitlines() if line.startswith("| `")]

    assert [name for name in RegionPolicy.model_fields if not any(f"`{name}`" in row for row in rows)] == []


def _policies(example: str) -> list[dict[str, Any]]:
    said = yaml.safe_load(example)
    steps = [step for step in said["story"] if isinstance(step, dict)]
    put = [value for step in steps for key, value in step.items() if key.startswith("policy of ")]
    return [*said.get("policy", {}).values(), *put]
