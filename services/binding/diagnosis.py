"""Why can we not share? Every guard of the rule in its order, with what it saw. Pure.

The guards are those that the settlement worker decides by, so that an explanation cannot differ from a decision; here
is only what to call each of them and what to say. Source: contract.md, "How a settlement is decided"; domain.md, rule 13.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.binding import phrases
from services.binding.model import Diagnosis, Family, Finding, Question, Viewer
from services.binding.phrases import ADVICE, RULES, Check, Phrase, say
from shared.domain import words
from shared.domain.enrolment import EndCause, Enrolment
from shared.domain.money import yuan
from shared.domain.mutual_aid import (
    CANDIDATE_GUARDS,
    PATIENT_GUARDS,
    RICHEST_GUARDS,
    Bill,
    Candidate,
    Choice,
    Considered,
    Guard,
    choose,
    consider,
    first_broken,
    own_money,
    rank,
)
from shared.domain.policy import NEVER_COVERED
from shared.domain.reasons import Reason, Text
from shared.domain.regions import pooling_area_of, province_of

# The check that each guard is told as. Whose credential is presented is only known at the till: no check.
CHECK_OF: dict[Reason, Check] = {
    Reason.PERSON_UNKNOWN: Check.BENEFICIARY_KNOWN,
    Reason.PERSON_NOT_INSURED: Check.BENEFICIARY_INSURED,
    Reason.EXPENSE_NOT_COVERED: Check.EXPENSE_COVERED,
    Reason.REGION_NOT_CONNECTED: Check.REGION_CONNECTED,
    Reason.PAYER_NOT_ELIGIBLE: Check.PAYER_ELIGIBLE,
    Reason.PAYER_ACCOUNT_FROZEN: Check.ACCOUNT_NOT_FROZEN,
    Reason.EXPENSE_NOT_SHARED: Check.EXPENSE_SHARED,
    Reason.AUTHORISED_LIMIT_EXCEEDED: Check.WITHIN_YEARLY_LIMIT,
    Reason.PAYER_BALANCE_ZERO: Check.HAS_USABLE_BALANCE,
    Reason.RICHEST_PAYER_INSUFFICIENT: Check.CAN_PAY_THE_WHOLE,
}
SMALLEST_FEN = 1


def diagnose(family: Family, question: Question) -> Diagnosis:
    """What a settlement of this bill, now and with the patient's own credential, would come to, and why."""
    bill = Bill(question.expense_type)
    if question.viewer is Viewer.PAYER and not _knows(family, question):
        return _stranger(question)
    findings = list(_of_beneficiary(family, bill))
    refused = first_broken(PATIENT_GUARDS, family.beneficiary, bill)
    if family.beneficiary is None:
        return Diagnosis(possible=False, reason=refused, findings=tuple(findings))

    own = own_money(family.beneficiary, family.account, question.amount_fen or 0)
    pays_alone = sum(own) == question.amount_fen
    if pays_alone and refused is None:
        findings.append(_own_money(*own))
        if question.payer_id is None:
            return Diagnosis(possible=True, reason=None, findings=tuple(findings))
    if pays_alone or question.amount_fen is None:
        # Nobody has to pay; how a payer stands who is asked for is told all the same, as without an amount.
        question, bill = replace(question, amount_fen=None), replace(bill, shortfall_fen=SMALLEST_FEN)
    else:
        bill = replace(bill, shortfall_fen=question.amount_fen - sum(own))
    choice = choose(family.candidates, bill, kinship_linked=bool(family.kinship_holders))
    asked = _asked(family, question)
    among = choose(asked, bill, kinship_linked=_kinship_linked(family, question))
    findings.append(_bound(family, question, asked, among))
    for candidate in asked or _as_if_bound(family, question):
        findings.extend(_of_payer(Look(candidate, bill, choice, family, question)))
    return Diagnosis(
        possible=refused is None and (pays_alone or choice.payer in asked),
        reason=refused or (None if pays_alone else _reason(choice, among)),
        findings=tuple(findings),
    )


def _knows(family: Family, question: Question) -> bool:
    """Whether a payer has ever bound the beneficiary, or may show their code."""
    bound = any(each.payer_id == question.payer_id for each in family.bindings)
    return bound or bool(_asked(family, question)) or _kinship_linked(family, question)


def _stranger(question: Question) -> Diagnosis:
    """Whoever has no tie to somebody learns nothing of them, not even whether they are insured."""
    value, advice = say(phrases.NOT_BOUND), say(ADVICE[Check.BOUND])
    finding = Finding(Check.BOUND, value, say(RULES[Check.BOUND]), advice, Reason.NO_BINDING, question.payer_id)
    return Diagnosis(possible=False, reason=Reason.NO_BINDING, findings=(finding,))


def _asked(family: Family, question: Question) -> tuple[Candidate, ...]:
    """The candidates that the question is about."""
    return tuple(
        candidate
        for candidate in family.candidates
        if question.payer_id is None or candidate.binding.payer.person_id == question.payer_id
    )


def _as_if_bound(family: Family, question: Question) -> tuple[Candidate, ...]:
    """What else would stand in the way of a payer who has not bound: not for the eyes of whom they have not bound."""
    return (family.unbound,) if family.unbound and question.viewer is not Viewer.BENEFICIARY else ()


def _kinship_linked(family: Family, question: Question) -> bool:
    if question.payer_id is None:
        return bool(family.kinship_holders)
    return question.payer_id in family.kinship_holders


def _reason(choice: Choice, among: Choice) -> Reason | None:
    """What a settlement says, as far as those asked for go: what keeps others out is theirs."""
    ranked = any(seen.out is None for seen in among.considered)
    return choice.reason if ranked else among.reason


# ---- the beneficiary ----


def _of_beneficiary(family: Family, bill: Bill) -> Iterator[Finding]:
    values = {
        Check.BENEFICIARY_KNOWN: say(phrases.REGISTERED if family.beneficiary else phrases.NOT_REGISTERED),
        Check.BENEFICIARY_INSURED: _enrolment(family.beneficiary),
        Check.EXPENSE_COVERED: say(phrases.EXPENSE, expense=words.EXPENSES[bill.expense_type]),
    }
    for guard in PATIENT_GUARDS:
        if guard.reason is not Reason.CREDENTIAL_MISMATCH:
            check = CHECK_OF[guard.reason]
            yield _finding(check, guard, guard.holds(family.beneficiary, bill), values[check])


def _enrolment(person: Enrolment | None) -> Phrase:
    if person is None:
        return say(phrases.NOT_REGISTERED)
    return say(phrases.ENROLLED, insurance=words.INSURANCE[person.insurance], status=words.STATUS[person.status])


def _own_money(own_fen: int, wallet_fen: int) -> Finding:
    value = say(phrases.OWN_MONEY, own=yuan(own_fen), wallet=yuan(wallet_fen))
    return Finding(Check.OWN_MONEY_SUFFICES, value, say(RULES[Check.OWN_MONEY_SUFFICES]))


# ---- the binding ----


def _bound(family: Family, question: Question, asked: Sequence[Candidate], among: Choice) -> Finding:
    rule = say(RULES[Check.BOUND])
    if asked:
        return Finding(Check.BOUND, _bound_since(family, question, asked), rule, payer_id=question.payer_id)
    value, advice = _not_bound(family, question, among)
    return Finding(Check.BOUND, value, rule, advice, among.reason, question.payer_id)


def _bound_since(family: Family, question: Question, asked: Sequence[Candidate]) -> Phrase:
    valid = [each.binding.binding_id for each in asked if not each.binding.closed]
    if not valid:
        return _closed_today(asked[0].binding.closed)
    standing = [each for each in family.bindings if each.row_id in valid]
    if question.payer_id is None or len(standing) != 1:
        return say(phrases.BOUND_BY, count=str(len(valid)))
    start, end = standing[0].valid_from, standing[0].valid_until
    if end is None:
        return say(phrases.BOUND_SINCE, start=start.isoformat())
    return say(phrases.BOUND_UNTIL, start=start.isoformat(), end=end.isoformat())


def _not_bound(family: Family, question: Question, among: Choice) -> tuple[Phrase, Phrase]:
    """What there is in place of a binding, and what to do."""
    coming = [each.valid_from for each in family.bindings if each.valid_from > family.today]
    if coming:
        start = min(coming).isoformat()
        return say(phrases.STARTS_LATER, start=start), say(phrases.WAIT_UNTIL_IT_STARTS, start=start)
    if among.reason is Reason.KINSHIP_ACCOUNT_ONLY:
        return say(phrases.KINSHIP_ONLY), say(phrases.BIND_BESIDES_KINSHIP)
    for over in family.bindings:
        assert over.valid_until, "a binding that is neither valid nor coming has an end"
        cause = words.RAN_OUT if over.end_cause is None else words.END_CAUSES.get(over.end_cause, words.ENDED)
        return say(phrases.WAS_OVER, end=over.valid_until.isoformat(), cause=cause), say(phrases.BIND_AGAIN)
    if question.viewer is Viewer.OFFICE and question.payer_id and family.unbound is None:
        return say(phrases.NOT_REGISTERED), say(ADVICE[Check.BENEFICIARY_KNOWN])
    return say(phrases.NOT_BOUND), say(ADVICE[Check.BOUND])


# ---- a payer ----


@dataclass(frozen=True, slots=True)
class Look:
    """One payer, seen for a bill by somebody."""

    candidate: Candidate
    bill: Bill
    choice: Choice
    family: Family
    question: Question

    @property
    def seen(self) -> Considered:
        return consider(self.candidate, self.bill)

    @property
    def first(self) -> Considered | None:
        """Who comes first of those who are not out."""
        return min((each for each in self.choice.considered if each.out is None), key=rank, default=None)

    @property
    def shows_money(self) -> bool:
        return self.question.viewer is not Viewer.BENEFICIARY


def _of_payer(look: Look) -> Iterator[Finding]:
    candidate, bill, seen = look.candidate, look.bill, look.seen
    payer_id = candidate.binding.payer.person_id
    for guard in CANDIDATE_GUARDS:
        check, holds = CHECK_OF[guard.reason], guard.holds(candidate, bill)
        yield _finding(check, guard, holds, VALUES[check](look), _advice(check, look), payer_id)
        if candidate.payer is None and check is Check.PAYER_ELIGIBLE:
            return  # Nothing more can be said of somebody who is gone.
    balance, whole = RICHEST_GUARDS
    yield _finding(
        Check.HAS_USABLE_BALANCE,
        balance,
        balance.holds(seen, bill),
        _balance(look),
        payer_id=payer_id,
        rule=_funds(look),
    )
    if candidate is not look.family.unbound:
        yield _ranking(look, payer_id)
    can_pay = _finding(Check.CAN_PAY_THE_WHOLE, whole, whole.holds(seen, bill), _whole(look), payer_id=payer_id)
    # The reason speaks of the richest: whoever is not has only the advice.
    yield can_pay if look.first == seen else replace(can_pay, reason=None)


def _finding(
    check: Check,
    guard: Guard[Any],
    passed: bool,
    value: Phrase,
    advice: Text | None = None,
    payer_id: str | None = None,
    rule: Phrase | None = None,
) -> Finding:
    told = say(RULES[check]) if rule is None else rule
    if passed:
        return Finding(check, value, told, payer_id=payer_id)
    return Finding(check, value, told, say(advice or ADVICE[check]), guard.reason, payer_id)


def _ranking(look: Look, payer_id: str) -> Finding:
    """Whether this payer comes first of those who are not out."""
    rule, seen, first = say(RULES[Check.IS_THE_RICHEST]), look.seen, look.first
    if first is None or seen.out is not None:
        value, advice = say(phrases.NOT_RANKED), phrases.FIRST_THE_REST
    elif first == seen:
        return Finding(Check.IS_THE_RICHEST, say(phrases.THE_RICHEST), rule, payer_id=payer_id)
    else:
        value = say(phrases.NOT_THE_RICHEST)
        if look.question.viewer is Viewer.OFFICE:
            value = say(phrases.RICHEST_IS, payer_id=first.payer_id, usable=yuan(first.usable_fen))
        advice = ADVICE[Check.IS_THE_RICHEST] if look.choice.payer else phrases.RICHEST_FALLS_SHORT
    return Finding(Check.IS_THE_RICHEST, value, rule, say(advice), payer_id=payer_id)


def _region(look: Look) -> Phrase:
    payer, beneficiary = look.candidate.payer, look.family.beneficiary
    closed = look.candidate.binding.closed
    assert beneficiary
    if closed not in (None, EndCause.PAYER_LEFT):
        return _closed_today(closed)
    if payer is None:
        return say(phrases.PAYER_GONE)
    if pooling_area_of(payer.region_code) == pooling_area_of(beneficiary.region_code):
        seen = phrases.ONE_POOLING_AREA
    elif province_of(payer.region_code) != province_of(beneficiary.region_code):
        seen = phrases.TWO_PROVINCES
    else:
        seen = phrases.ONE_OPEN_PROVINCE if look.candidate.connected else phrases.ONE_CLOSED_PROVINCE
    if look.question.viewer is not Viewer.OFFICE:
        return say(seen)
    return say(phrases.IN_REGIONS, seen=seen, payer=payer.region_code, beneficiary=beneficiary.region_code)


def _closed_today(cause: EndCause | None) -> Phrase:
    assert cause, "a binding that is considered is valid, or closed by itself"
    return say(phrases.CLOSED_TODAY, cause=words.END_CAUSES[cause])


def _eligible(look: Look) -> Phrase:
    payer, closed = look.candidate.payer, look.candidate.binding.closed
    if closed is EndCause.PAYER_LEFT:
        return _closed_today(closed)
    if payer is None:
        return say(phrases.PAYER_GONE)
    if look.question.viewer is not Viewer.BENEFICIARY:
        return _enrolment(payer)
    return say(phrases.ELIGIBLE if payer.is_active_employee else phrases.NOT_ELIGIBLE)


def _frozen(look: Look) -> Phrase:
    payer = look.candidate.payer
    return say(phrases.FROZEN if payer and payer.account_frozen else phrases.NOT_FROZEN)


def _shared(look: Look) -> Phrase:
    shared = look.bill.expense_type in look.candidate.policy.policy.shared_expense_types
    return say(phrases.SHARED if shared else phrases.NOT_SHARED, expense=words.EXPENSES[look.bill.expense_type])


def _limit(look: Look) -> Phrase:
    """Both sides may see it: either sees every payment made through the binding."""
    left_fen = look.candidate.limit_left_fen
    if left_fen is None:
        return say(phrases.NO_LIMIT)
    return say(phrases.LIMIT, used=yuan(look.candidate.used_fen), left=yuan(left_fen))


VALUES: dict[Check, Callable[[Look], Phrase]] = {
    Check.REGION_CONNECTED: _region,
    Check.PAYER_ELIGIBLE: _eligible,
    Check.ACCOUNT_NOT_FROZEN: _frozen,
    Check.EXPENSE_SHARED: _shared,
    Check.WITHIN_YEARLY_LIMIT: _limit,
}


def _advice(check: Check, look: Look) -> Text | None:
    payer, beneficiary = look.candidate.payer, look.family.beneficiary
    if check is Check.EXPENSE_SHARED and look.bill.expense_type in NEVER_COVERED:
        return ADVICE[Check.EXPENSE_COVERED]
    if closed := look.candidate.binding.closed:
        return phrases.BIND_ANEW if closed is EndCause.PAYER_LEFT else phrases.BIND_AGAIN
    if check is not Check.REGION_CONNECTED or payer is None or beneficiary is None:
        return None
    across = province_of(payer.region_code) != province_of(beneficiary.region_code)
    return phrases.USE_THE_WALLET if across else None


def _funds(look: Look) -> Phrase:
    policy = look.candidate.policy.policy
    funds = words.FUNDS[policy.funds]
    if policy.keep_fen == 0:
        return say(RULES[Check.HAS_USABLE_BALANCE], funds=funds)
    return say(phrases.KEEPS_SOME, funds=funds, keep=yuan(policy.keep_fen))


def _balance(look: Look) -> Phrase:
    if look.shows_money:
        return say(phrases.USABLE, usable=yuan(look.seen.usable_fen))
    return say(phrases.SOMETHING if look.seen.usable_fen else phrases.NOTHING)


def _whole(look: Look) -> Phrase:
    usable_fen, shortfall_fen = look.seen.usable_fen, look.bill.shortfall_fen
    if look.shows_money and look.question.amount_fen is not None:
        return say(phrases.AGAINST, shortfall=yuan(shortfall_fen), usable=yuan(usable_fen))
    return say(phrases.COVERS if usable_fen >= shortfall_fen else phrases.FALLS_SHORT)
