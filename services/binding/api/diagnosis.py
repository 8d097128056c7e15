"""Why can we not share? Every check in order, in words."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from services.binding.api.door import Asker, Desk, allow
from services.binding.model import Caller, Finding, Question, Viewer
from services.binding.phrases import Language
from services.binding.problems import Problem
from services.binding.resources import CheckOut, DiagnosisOut
from shared.domain.ids import PERSON_ID_PATTERN
from shared.domain.money import AMOUNT_MAX_FEN, AMOUNT_MIN_FEN
from shared.domain.policy import ExpenseType
from shared.domain.reasons import Reason
from shared.domain.roles import Role

router = APIRouter()


@router.get("/diagnosis", tags=["diagnosis"])
async def diagnose(
    caller: Asker,
    desk: Desk,
    response: Response,
    beneficiary_id: Annotated[str, Query(pattern=PERSON_ID_PATTERN)],
    payer_id: Annotated[str | None, Query(pattern=PERSON_ID_PATTERN)] = None,
    expense_type: ExpenseType = ExpenseType.OUTPATIENT,
    amount_fen: Annotated[int | None, Query(ge=AMOUNT_MIN_FEN, le=AMOUNT_MAX_FEN)] = None,
    accept_language: Annotated[str | None, Header()] = None,
) -> DiagnosisOut:
    """Why a payer, or without one anybody, can or cannot pay for a beneficiary.

    Without an amount, the smallest shortfall is meant: one fen that the patient's own account and wallet leave, however
    much is in them. With one, where they pay it all it is `possible`, and the checks of a payer who is given say how that
    payer stands. Texts are Chinese, or English if `Accept-Language` prefers it. Balances
    are told to the payer, a clerk and an operator. Only these two may ask with an amount: by trying amounts, either side
    could find out the other's balance.
    """
    viewer = _viewer(caller, payer_id, beneficiary_id)
    if payer_id == beneficiary_id:
        raise Problem(Reason.SELF_BINDING)
    if viewer is not Viewer.OFFICE and amount_fen is not None:
        raise Problem(Reason.FORBIDDEN)
    language = preferred(accept_language)
    response.headers["Content-Language"] = language
    response.headers["Vary"] = "Accept-Language"
    found = await desk.diagnose(caller, Question(beneficiary_id, payer_id, viewer, expense_type, amount_fen))
    return DiagnosisOut(
        beneficiary_id=beneficiary_id,
        payer_id=payer_id,
        possible=found.possible,
        reason=found.reason,
        checks=[_check_out(finding, language) for finding in found.findings],
    )


def _viewer(caller: Caller, payer_id: str | None, beneficiary_id: str) -> Viewer:
    """Whose eyes this is for. Raises Problem(forbidden) where it is neither side's affair."""
    if caller.is_person(beneficiary_id):
        return Viewer.BENEFICIARY
    if payer_id is not None and caller.is_person(payer_id):
        return Viewer.PAYER
    allow(caller, Role.CLERK, Role.OPERATOR)
    return Viewer.OFFICE


def preferred(accept_language: str | None) -> Language:
    """English where the header ranks it above Chinese, else Chinese."""
    weights = {"zh": 0.0, "en": 0.0}
    for choice in (accept_language or "").lower().replace(" ", "").split(","):
        tag, _, weight = choice.partition(";q=")
        primary = tag.partition("-")[0]
        if primary in weights:
            weights[primary] = max(weights[primary], _weight(weight))
    return Language.ENGLISH if weights["en"] > weights["zh"] else Language.CHINESE


def _weight(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0


def _check_out(finding: Finding, language: Language) -> CheckOut:
    return CheckOut(
        check=finding.check,
        passed=finding.passed,
        value=finding.value.read(language),
        rule=finding.rule.read(language),
        advice=finding.advice.read(language) if finding.advice else None,
        reason=finding.reason,
        payer_id=finding.payer_id,
    )
