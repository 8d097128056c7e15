"""What a scenario file may say, and the three that ship."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from cli.policy_files import read_policies
from cli.scenario.parts import (
    VERBS,
    BillStep,
    CancelStep,
    ExpectedAnswer,
    ExpectedDay,
    ExpectedReasons,
    ReconcileStep,
    RefundStep,
    Scenario,
    read_scenario,
    verb_of,
)
from shared.domain.regions import pooling_area_of

HEBEI = Path("examples/hebei.yaml")
REGIONS = Path("examples/regions.yaml")
AFTERWARDS = Path("examples/afterwards.yaml")
POLICIES = Path("examples/policies")


def test_the_first_act_is_bills_alone() -> None:
    """And puts no policy: Hebei's ships with the service."""
    scenario = read_scenario(HEBEI)

    assert {type(step) for step in scenario.steps} == {BillStep}
    assert not scenario.policies


def test_the_acts_have_every_kind_of_step() -> None:
    """The second and the third have nothing in common but bills."""
    second, third = (
        {verb_of(step) for step in yaml.safe_load(act.read_text(encoding="utf-8"))["steps"]}
        for act in (REGIONS, AFTERWARDS)
    )

    assert second | third == set(VERBS)
    assert second & third == {"ask"}


def test_the_third_act_reconciles_what_it_has_settled() -> None:
    """Its last book has every settlement that is listed as debiting something, and everything that is listed as returned."""
    steps = read_scenario(AFTERWARDS).steps
    paid = {
        step.ask.request_id: (step.expect.own_account_fen or 0) + (step.expect.mutual_aid_fen or 0)
        for step in steps
        if isinstance(step, BillStep) and step.expect.outcome == "settled"
    }
    returned_fen = sum(step.expect.amount_fen or 0 for step in steps if isinstance(step, RefundStep | CancelStep))

    *_, last = (step for step in steps if isinstance(step, ReconcileStep))
    book = last.reconcile

    assert last.expect.outcome == "balanced"
    assert {line.request_id: line.account_fen for line in book.lines or []} == paid
    assert (book.count, book.account_fen, book.refunded_fen) == (len(paid), sum(paid.values()), returned_fen)


def test_the_second_act_leaves_the_first_acts_areas_alone() -> None:
    """Its policies hold in pooling areas that nobody of the first act is insured or treated in."""
    first, put = read_scenario(HEBEI), set(read_scenario(REGIONS).policies)

    regions = [person.region_code for person in first.persons.values()]
    regions += [institution.region_code for institution in first.institutions.values()]

    assert not put & {pooling_area_of(region) for region in regions}
    assert {len(code) for code in put} == {4}


@pytest.mark.parametrize(
    ("area", "file", "code"),
    [
        ("3397", "zhejiang.yaml", "33"),
        ("3398", "zhejiang.yaml", "33"),
        ("3597", "fujian.yaml", "35"),
        ("4397", "six-members.yaml", "4301"),
        ("1297", "tianjin.yaml", "12"),
    ],
)
def test_the_second_acts_policies_are_the_examples(area: str, file: str, code: str) -> None:
    """But for the wallet's hours."""
    played = read_scenario(REGIONS).policies[area]

    example = read_policies(POLICIES / file)[code]

    assert played.model_copy(update={"wallet": example.wallet}) == example


def test_the_second_act_can_be_played_at_any_hour() -> None:
    """The giver's region never closes the wallet."""
    wallet = read_scenario(REGIONS).policies["1297"].wallet

    assert wallet.closed_from == wallet.closed_until


TITLE = {"en": "A step", "zh": "一步"}
WRONG = {
    "no verb": ({"title": TITLE, "expect": {}}, "a step has one of: ask, refund, cancel"),
    "no step at all": ("bill-01", "a step has one of: ask, refund, cancel"),
    "two verbs": (
        {
            "title": TITLE,
            "bind": {"payer": "A", "beneficiary": "B", "relation": "son"},
            "end": {"payer": "A", "beneficiary": "B"},
        },
        "Extra inputs are not permitted",
    ),
    "an expectation of another kind": (
        {"title": TITLE, "end": {"payer": "A", "beneficiary": "B"}, "expect": {"outcome": "settled"}},
        "Extra inputs are not permitted",
    ),
    "nobody of that name": ({"title": TITLE, "end": {"payer": "A", "beneficiary": "C"}}, "in institutions: C"),
    "a cancel of a part": (
        {
            "title": TITLE,
            "cancel": {"request_id": "2", "institution": "H", "person": "B", "original": "1", "amount_fen": 1},
            "expect": {"outcome": "cancelled"},
        },
        "Extra inputs are not permitted",
    ),
    "no such difference": (
        {
            "title": TITLE,
            "reconcile": {
                "request_id": "2",
                "institution": "H",
                "count": 0,
                "account_fen": 0,
                "mutual_aid_fen": 0,
                "refunded_fen": 0,
            },
            "expect": {"outcome": "differs", "wrong_lines": {"1": "missing"}},
        },
        "Input should be 'missing_here'",
    ),
    "no such relation": (
        {"title": TITLE, "bind": {"payer": "A", "beneficiary": "B", "relation": "cousin"}},
        "Input should be 'spouse'",
    ),
}


@pytest.mark.parametrize(("step", "problem"), WRONG.values(), ids=WRONG)
def test_a_wrong_step_is_refused(step: Any, problem: str) -> None:
    """In words that say what is wrong."""
    with pytest.raises(ValidationError, match=problem):
        Scenario.model_validate(scenario(steps=[step]))


def test_steps_may_be_called_bills() -> None:
    bill = {
        "title": TITLE,
        "ask": {"request_id": "1", "institution": "H", "person": "B", "amount_fen": 1},
        "expect": {"outcome": "settled"},
    }

    assert Scenario.model_validate(scenario(bills=[bill])) == Scenario.model_validate(scenario(steps=[bill]))


def test_an_amount_that_is_left_out_may_be_anything() -> None:
    """A reason and a payer may not."""
    answer = {**ExpectedAnswer(outcome="settled").model_dump(), "mutual_aid_fen": 5, "cash_fen": 0}

    same = ExpectedAnswer(outcome="settled", cash_fen=0).differences(answer)
    other = ExpectedAnswer(outcome="settled", cash_fen=1).differences({**answer, "payer": "A", "reason": "x"})

    assert same == []
    assert other == [
        "reason: expected None, got 'x'",
        "payer: expected None, got 'A'",
        "cash_fen: expected 1, got 0",
    ]


def test_a_refusal_that_is_left_out_must_not_be() -> None:
    differences = ExpectedReasons().differences({"refused": ["bound_too_recently"]})

    assert differences == ["refused: expected [], got ['bound_too_recently']"]


def test_a_wrong_line_that_is_not_listed_is_told() -> None:
    seen = {"outcome": "differs", "wrong_lines": {"1": "different"}}

    differences = ExpectedDay(outcome="differs").differences(seen)

    assert differences == ["wrong_lines: expected {}, got {'1': 'different'}"]


def scenario(**steps: list[Any]) -> dict[str, Any]:
    """Two people and a hospital, with these steps."""
    person = {"name": "某人", "id_number": "130102199003070011", "region_code": "130100", "insurance": "employee"}
    return {
        "title": TITLE,
        "institutions": {"H": {"name": "医院", "kind": "hospital", "region_code": "130100"}},
        "persons": {"A": person, "B": person},
        "credits": [],
        "bindings": [],
        **steps,
    }
