"""From a verdict to the answer on the wire. Source: contract.md, the answers of each operation."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import from_json

from services.settlement.incoming import Incoming
from services.settlement.model import Decision, Original, Rejection, Replay, StoredDecision, Verdict
from services.settlement.reconciling import theirs
from shared.domain.ids import public_id
from shared.domain.reasons import TEXTS, Reason
from shared.messages.bulk import BulkAnswer
from shared.messages.catalogue import CATALOGUE, AnswerType, Malformed
from shared.messages.credit import CreditAnswer
from shared.messages.envelope import Answer, Operation, Outcome, Request
from shared.messages.lookup import LookupAnswer
from shared.messages.reconcile import ReconcileAnswer, ReconcileRequest
from shared.messages.settle import SettleAnswer, SettleRequest
from shared.messages.transfer import TransferAnswer, TransferRequest
from shared.messages.undo import CancelAnswer, RefundAnswer


def answer(incoming: Incoming, verdict: Verdict, movement_id: UUID | None, now: datetime) -> Answer:
    """The answer that a verdict deserves."""
    match verdict:
        case Replay(stored):
            return _answer_type(stored.operation).model_validate_json(stored.answer).again()
        case Rejection(reason):
            return _answer_type(incoming.operation)(
                operation=incoming.operation,
                request_id=incoming.request.request_id,
                institution_id=incoming.request.institution_id,
                outcome=Outcome.REJECTED,
                reason=reason,
                reason_text=TEXTS[reason].chinese,
                decided_at=now,
            )
        case Decision():
            return _decided(incoming, verdict, movement_id, now)


def malformed(found: Malformed, now: datetime) -> Answer:
    """The answer to a body that is no acceptable request; it names fields, never values."""
    return _answer_type(found.operation)(
        operation=found.operation,
        request_id=found.request_id,
        institution_id=found.institution_id,
        outcome=Outcome.REJECTED,
        reason=Reason.MALFORMED,
        reason_text=f"{TEXTS[Reason.MALFORMED].chinese}（{found.problems}）",
        decided_at=now,
    )


def bulk(envelope: Request, texts: Sequence[str], decided_at: datetime) -> tuple[Answer, str]:
    """The answer to a message of many settlements, and as JSON text, around the answers' own texts, in their order."""
    answer = BulkAnswer(
        operation=envelope.operation,
        request_id=envelope.request_id,
        institution_id=envelope.institution_id,
        outcome=Outcome.ANSWERED,
        decided_at=decided_at,
    )
    around = answer.model_dump_json(exclude={"answers"})
    # They are written already, for the ledger: writing them again would cost as much as deciding them.
    return answer, f'{around[:-1]},"answers":[{",".join(texts)}]}}'


def _decided(incoming: Incoming, decision: Decision, movement_id: UUID | None, now: datetime) -> Answer:
    request = incoming.request
    common: dict[str, Any] = {
        "operation": incoming.operation,
        "request_id": request.request_id,
        "institution_id": request.institution_id,
        "outcome": decision.outcome,
        "reason": decision.reason,
        "reason_text": TEXTS[decision.reason].chinese if decision.reason else None,
        "decided_at": now,
    }
    match incoming.operation:
        case Operation.SETTLE | Operation.QUOTE:
            assert isinstance(request, SettleRequest)
            paid_fen = decision.own_account_fen + decision.wallet_fen + decision.mutual_aid_fen
            return SettleAnswer(
                **common,
                settlement_id=public_id(incoming.name.province, movement_id) if movement_id else None,
                amount_fen=request.amount_fen,
                own_account_fen=decision.own_account_fen,
                wallet_fen=decision.wallet_fen,
                mutual_aid_fen=decision.mutual_aid_fen,
                cash_fen=request.amount_fen - paid_fen,
                payer_id=decision.payer_id,
                own_balance_fen=decision.own_balance_fen,
            )
        case Operation.SETTLE_BULK:
            raise AssertionError("a bulk request is answered by the answers of its settlements")
        case Operation.CREDIT:
            after = decision.account_after
            return CreditAnswer(
                **common,
                current_year_fen=after.current_year_fen if after else None,
                prior_years_fen=after.prior_years_fen if after else None,
            )
        case Operation.TRANSFER:
            assert isinstance(request, TransferRequest)
            return TransferAnswer(
                **common,
                transfer_id=public_id(incoming.name.province, movement_id) if movement_id else None,
                amount_fen=request.amount_fen,
                accept_by=decision.accept_by if decision.outcome is Outcome.PENDING else None,
            )
        case Operation.REFUND:
            return RefundAnswer(**common, **_returned(decision))
        case Operation.CANCEL:
            return CancelAnswer(**common, **_returned(decision), effect=decision.effect)
        case Operation.LOOKUP:
            return LookupAnswer(**common, **_looked_up(decision.original))
        case Operation.RECONCILE:
            assert isinstance(request, ReconcileRequest)
            return ReconcileAnswer(**common, **_reconciled(request, decision))


def _returned(decision: Decision) -> dict[str, Any]:
    """What went back, fund by fund, and the settlement that it was of."""
    original = decision.original
    sent = _as_sent(original.stored) if original and not original.stored.is_tombstone else {}
    return {
        "settlement_id": sent.get("settlement_id"),
        "amount_fen": decision.own_account_fen + decision.wallet_fen + decision.mutual_aid_fen,
        "own_account_fen": decision.own_account_fen,
        "wallet_fen": decision.wallet_fen,
        "mutual_aid_fen": decision.mutual_aid_fen,
        "payer_id": decision.payer_id,
        "own_balance_fen": decision.own_balance_fen,
    }


def _looked_up(original: Original | None) -> dict[str, Any]:
    if original is None:
        return {"cancelled": False, "refunded_fen": 0}
    settled = original.stored.operation == Operation.SETTLE
    return {
        "original": None if original.stored.is_tombstone else _as_sent(original.stored),
        "cancelled": original.cancelled or original.stored.is_tombstone,
        "refunded_fen": original.paid_fen - original.left_fen if settled else 0,
    }


def _reconciled(request: ReconcileRequest, decision: Decision) -> dict[str, Any]:
    day = decision.day
    assert day
    return {
        "date": request.date,
        "ours": day.totals,
        "theirs": theirs(request),
        "differences": day.differing,
        "differences_left_out": None if day.differing is None else day.differences - len(day.differing),
    }


def _as_sent(stored: StoredDecision) -> dict[str, Any]:
    content: dict[str, Any] = from_json(stored.answer)
    return content


def _answer_type(operation: str | None) -> AnswerType:
    return CATALOGUE[Operation(operation)].answer if operation in CATALOGUE else SettleAnswer
