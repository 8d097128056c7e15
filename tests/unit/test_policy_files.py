"""The policies that ship as files."""

from datetime import date
from pathlib import Path

import pytest
import typer

from cli.policy import read_policies
from shared.domain.policy import Funds, PolicyBook, PolicyVersion
from shared.domain.regions import Scope

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


BAD = {
    "an unknown field": '"33": {effective_from: 2024-01-01, colour: red}',
    "an unknown relation": '"33": {effective_from: 2024-01-01, relations: [cousin]}',
    "no date": '"33": {members_max: 8}',
    "a bad code": '"3": {effective_from: 2024-01-01}',
    "never covered": '"33": {effective_from: 2024-01-01, shared_expense_types: [fitness]}',
    "no such relation to limit": '"33": {effective_from: 2024-01-01, members_max_by_relation: {cousin: 1}}',
    "not YAML": "a: [",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_bad_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """With the file and what is wrong with it."""
    file = tmp_path / "policy.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(typer.Exit) as ended:
        read_policies(file)

    assert ended.value.exit_code == 1
    assert "policy.yaml" in capsys.readouterr().err
