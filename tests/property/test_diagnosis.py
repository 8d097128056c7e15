"""A diagnosis against the worker's decision of the same bill, over random families."""

from dataclasses import replace
from typing import Any

from hypothesis import assume, event, given
from hypothesis import strategies as st

from services.binding.diagnosis import diagnose
from services.binding.model import Diagnosis, Family, Question, Viewer
from services.binding.phrases import Check
from services.settlement.incoming import Incoming
from services.settlement.model import Decision, Position
from services.settlement.rules import decide
from shared.domain.mutual_aid import own_money
from shared.domain.policy import ExpenseType
from shared.domain.reasons import Reason
from shared.domain.times import shanghai_date
from tests.support.builders import NOW, settle
from tests.support.families import EXPENSES, as_batch, worlds

AMOUNTS = st.none() | st.integers(1, 30)
EXPENSE = st.sampled_from(EXPENSES * 8 + ["fitness"])
VIEWERS = st.sampled_from(Viewer)


def position_of(world: dict[str, Any]) -> Position:
    return as_batch(world).position(Incoming(settle()))


def family_of(world: dict[str, Any]) -> Family:
    """The family as the binding service reads it; where a code may be shown, it is the first payer who may."""
    position = position_of(world)
    return Family(
        today=shanghai_date(NOW),
        beneficiary=position.patient,
        account=position.account,
        candidates=position.candidates,
        kinship_holders=frozenset({"payer-1"}) if world["kinship_linked"] else frozenset(),
    )


def diagnosis_of(world: dict[str, Any], asked: tuple[str, int | None], payer_id: str | None = None) -> Diagnosis:
    expense, amount_fen = asked
    return diagnose(family_of(world), Question("patient", payer_id, Viewer.OFFICE, ExpenseType(expense), amount_fen))


def decision_of(world: dict[str, Any], asked: tuple[str, int | None]) -> Decision:
    """The worker's decision; without an amount, of the smallest bill that the patient's own money does not cover."""
    expense, amount_fen = asked
    position = position_of(world)
    if amount_fen is None:
        amount_fen = sum(own_money(position.patient, position.account, 10**6)) + 1
    verdict = decide(settle(expense_type=expense, amount_fen=amount_fen), position)
    assert isinstance(verdict, Decision)
    return verdict


def nobody_has_to(decision: Decision) -> bool:
    """Whether the patient's own money pays it all."""
    return decision.outcome == "settled" and decision.payer_id is None


@given(worlds(), st.tuples(EXPENSE, AMOUNTS))
def test_a_beneficiary_alone_is_told_what_a_settlement_says(
    world: dict[str, Any], asked: tuple[str, int | None]
) -> None:
    """Possible is exactly settled, the reason is the answer's, and a failed check has it."""
    decision = decision_of(world, asked)
    event(f"{decision.outcome} {decision.reason}")

    found = diagnosis_of(world, asked)

    assert found.possible == (decision.outcome == "settled")
    assert found.reason == decision.reason
    assert found.reason is None or found.reason in {check.reason for check in found.findings if not check.passed}


@given(worlds(), st.tuples(EXPENSE, AMOUNTS))
def test_a_payer_is_told_whether_it_is_they_who_pay(world: dict[str, Any], asked: tuple[str, int | None]) -> None:
    """Possible is exactly: this payer pays, or nobody has to. Where somebody has to, every check has passed if they do."""
    decision = decision_of(world, asked)
    for payer in world["payers"]:
        found = diagnosis_of(world, asked, payer["id"])

        assert found.possible == (decision.payer_id == payer["id"] or nobody_has_to(decision))
        assert found.possible == (all(check.passed for check in found.findings) or nobody_has_to(decision))


@given(worlds(), EXPENSE)
def test_a_payer_who_is_not_needed_is_told_how_they_stand(world: dict[str, Any], expense: str) -> None:
    """Every check of theirs, as without an amount; what the patient pays alone stays payable, whatever they say."""
    position = position_of(world)
    asked = (expense, sum(own_money(position.patient, position.account, 10**6)))
    assume(asked[1] and nobody_has_to(decision_of(world, asked)))
    for payer_id in [*(payer["id"] for payer in world["payers"]), "a-stranger"]:
        found = diagnosis_of(world, asked, payer_id)

        without_amount = diagnosis_of(world, (expense, None), payer_id)
        told = [each for each in found.findings if each.check is not Check.OWN_MONEY_SUFFICES]
        assert (found.possible, found.reason) == (True, None)
        assert (len(found.findings), tuple(told)) == (len(told) + 1, without_amount.findings)


@given(worlds(), st.tuples(EXPENSE, AMOUNTS))
def test_only_the_richest_is_said_to_be_the_richest(world: dict[str, Any], asked: tuple[str, int | None]) -> None:
    """Whoever else cannot pay the whole is told so without the reason that speaks of the richest."""
    for payer in world["payers"]:
        found = diagnosis_of(world, asked, payer["id"])

        richest = any(check.check is Check.IS_THE_RICHEST and check.passed for check in found.findings)
        named = [check.reason for check in found.findings if check.reason is Reason.RICHEST_PAYER_INSUFFICIENT]
        assert richest or not named


@given(worlds(), st.tuples(EXPENSE, AMOUNTS))
def test_a_payer_who_has_not_bound_changes_nothing_and_hears_the_rest(
    world: dict[str, Any], asked: tuple[str, int | None]
) -> None:
    """As if they had bound, but for the ranking; possible and the reason are those of the family without them."""
    for payer in world["payers"]:
        without = {**world, "payers": [each for each in world["payers"] if each is not payer], "kinship_linked": False}
        decision = decision_of(without, asked)
        (unbound,) = (each for each in position_of(world).candidates if each.binding.payer.person_id == payer["id"])
        question = Question("patient", payer["id"], Viewer.OFFICE, ExpenseType(asked[0]), asked[1])

        found = diagnose(replace(family_of(without), unbound=unbound), question)

        about = [each.check for each in found.findings if each.payer_id == payer["id"]]
        assert found.possible == nobody_has_to(decision)
        assert world["patient"] is None or about[0] is Check.BOUND
        assert Check.IS_THE_RICHEST not in about
        assert Check.REGION_CONNECTED in about or world["patient"] is None


@given(worlds(), st.tuples(EXPENSE, AMOUNTS))
def test_the_first_failed_check_is_the_reason(world: dict[str, Any], asked: tuple[str, int | None]) -> None:
    """What a settlement would say were this payer the only relative, which is what the other relatives cannot change."""
    for payer in world["payers"]:
        alone = {**world, "payers": [payer]}
        decision = decision_of(alone, asked)

        found = diagnosis_of(alone, asked, payer["id"])

        failed = [] if nobody_has_to(decision) else [check for check in found.findings if not check.passed]
        assert found.reason == decision.reason == (failed[0].reason if failed else None)


@given(worlds(), st.tuples(EXPENSE, AMOUNTS))
def test_a_payer_who_is_out_stays_out_for_the_same_reason(world: dict[str, Any], asked: tuple[str, int | None]) -> None:
    """However many others there are; a payer who is in the ranking gets the answer of the settlement."""
    decision = decision_of(world, asked)
    outs = {seen.payer_id: seen.out for seen in decision.considered}
    assume(outs)
    for payer_id, out in outs.items():
        found = diagnosis_of(world, asked, payer_id)

        assert found.reason == (out or decision.reason)


@given(worlds(), st.tuples(EXPENSE, AMOUNTS))
def test_somebody_who_has_not_bound_is_told_so(world: dict[str, Any], asked: tuple[str, int | None]) -> None:
    """Nobody's name but those of the family makes a bill payable, unless the patient pays it alone."""
    decision = decision_of({**world, "payers": [], "kinship_linked": False}, asked)

    found = diagnosis_of(world, asked, "a-stranger")

    assert (found.possible, found.reason) == (decision.outcome == "settled", decision.reason)


@given(worlds(), st.tuples(EXPENSE, AMOUNTS), VIEWERS, st.integers(0, 5))
def test_who_asks_changes_the_words_and_nothing_else(
    world: dict[str, Any], asked: tuple[str, int | None], viewer: Viewer, number: int
) -> None:
    """The same checks with the same results, for the office and for either side; a stranger hears that there is no tie."""
    # A payer asks about themselves.
    assume(number or viewer is not Viewer.PAYER)
    question = Question("patient", f"payer-{number}" if number else None, viewer, ExpenseType(asked[0]), asked[1])

    found = diagnose(family_of(world), question)

    office = diagnose(family_of(world), replace(question, viewer=Viewer.OFFICE))
    tied = (number == 1 and world["kinship_linked"]) or number in {p["binding"] for p in world["payers"]}
    if viewer is Viewer.PAYER and not tied:
        assert (found.reason, [each.check for each in found.findings]) == ("no_binding", [Check.BOUND])
        return
    told = [(each.check, each.passed, each.reason, each.payer_id) for each in found.findings]
    assert (found.possible, found.reason) == (office.possible, office.reason)
    assert told == [(each.check, each.passed, each.reason, each.payer_id) for each in office.findings]
