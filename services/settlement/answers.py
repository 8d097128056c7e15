"""From a verdict to the answer on the wire. Source: contract.md, the answers of each operation."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel
from pydantic_core import from_json

from services.settlement.incoming import Incoming
from services.settlement.model import Decision, Original, Rejection, Replay, StoredDecision, Verdict, Written
from services.settlement.reconciling import theirs
from shared.domain.ids import public_id
from shared.domain.reasons import TEXTS, Reason
from shared.messages.catalogue import CATALOGUE, Malformed
from shared.messages.envelope import Operation, Outcome, Request
from shared.messages.reconcile import ReconcileRequest
from shared.messages.settle import SettleAnswer, SettleRequest
from shared.messages.transfer import TransferRequest


def answer(incoming: Incoming, verdict: Verdict, movement_id: UUID | None, now: datetime) -> Written:
    """The answer that a verdict deserves."""
    match verdict:
        case Replay(stored):
            sent: dict[str, Any] = from_json(stored.answer)
            return _written(stored.operation, datetime.fromisoformat(sent["decided_at"]), sent | {"replayed": True})
        case Rejection(reason, problems=problems):
            request = incoming.request
            name = (incoming.operation, request.request_id, request.institution_id)
            return _rejected(*name, reason, problems, now)
        case Decision():
            return _written(incoming.operation, now, _decided(incoming, verdict, movement_id))


def malformed(found: Malformed, now: datetime) -> Written:
    """The answer to a body that is no acceptable request; it names fields, never values."""
    return _rejected(found.operation, found.request_id, found.institution_id, found.reason, found.problems, now)


def bulk(envelope: Request, answers: Sequence[Written], decided_at: datetime) -> Written:
    """The answer to a message of many settlements, around their answers, in their order."""
    said: dict[str, Any] = {
        "operation": envelope.operation,
        "request_id": envelope.request_id,
        "institution_id": envelope.institution_id,
        "outcome": Outcome.ANSWERED,
        # As they are written for the ledger: writing them again would cost as much as deciding them.
        "answers": orjson.Fragment(f"[{','.join(each.text for each in answers)}]"),
    }
    return _written(envelope.operation, decided_at, said)


def _rejected(
    operation: str | None,
    request_id: str | None,
    institution_id: str | None,
    reason: Reason,
    problems: str | None,
    now: datetime,
) -> Written:
    text = TEXTS[reason].chinese
    said: dict[str, Any] = {
        "operation": operation,
        "request_id": request_id,
        "institution_id": institution_id,
        "outcome": Outcome.REJECTED,
        "reason": reason,
        "reason_text": f"{text}（{problems}）" if problems else text,
    }
    return _written(operation, now, said)


def _written(operation: str | None, decided_at: datetime, said: dict[str, Any]) -> Written:
    """What is said, in every field that the operation's answers have.

    Not through the model of such an answer, which the tests hold it against: making and writing one was an eighth of the
    worker's time. Whatever is said here is our own.
    """
    answer = _blank(operation) | said | {"decided_at": decided_at.astimezone(UTC)}
    return Written(
        operation=answer["operation"],
        institution_id=answer["institution_id"],
        outcome=answer["outcome"],
        reason=answer["reason"],
        decided_at=decided_at,
        replayed=answer["replayed"],
        text=orjson.dumps(answer, default=_of_a_model, option=orjson.OPT_UTC_Z).decode(),
    )


@cache
def _blank(operation: str | None) -> dict[str, Any]:
    """The fields of an operation's answers, in their order, none of them said."""
    answers = CATALOGUE[Operation(operation)].answer if operation in CATALOGUE else SettleAnswer
    return {name: None if field.is_required() else field.get_default() for name, field in answers.model_fields.items()}


def _of_a_model(part: BaseModel) -> dict[str, Any]:
    return part.model_dump()


def _decided(incoming: Incoming, decision: Decision, movement_id: UUID | None) -> dict[str, Any]:
    request = incoming.request
    common: dict[str, Any] = {
        "operation": incoming.operation,
        "request_id": request.request_id,
        "institution_id": request.institution_id,
        "outcome": decision.outcome,
        "reason": decision.reason,
        "reason_text": TEXTS[decision.reason].chinese if decision.reason else None,
    }
    match incoming.operation:
        case Operation.SETTLE | Operation.QUOTE:
            assert isinstance(request, SettleRequest)
            paid_fen = decision.own_account_fen + decision.wallet_fen + decision.mutual_aid_fen
            return common | {
                "settlement_id": public_id(incoming.name.province, movement_id) if movement_id else None,
                "amount_fen": request.amount_fen,
                "own_account_fen": decision.own_account_fen,
                "wallet_fen": decision.wallet_fen,
                "mutual_aid_fen": decision.mutual_aid_fen,
                "cash_fen": request.amount_fen - paid_fen,
                "payer_id": decision.payer_id,
                "own_balance_fen": decision.own_balance_fen,
            }
        case Operation.SETTLE_BULK:
            raise AssertionError("a bulk request is answered by the answers of its settlements")
        case Operation.CREDIT:
            after = decision.account_after
            return common | {
                "current_year_fen": after.current_year_fen if after else None,
                "prior_years_fen": after.prior_years_fen if after else None,
            }
        case Operation.TRANSFER:
            assert isinstance(request, TransferRequest)
            waits_until = decision.accept_by if decision.outcome is Outcome.PENDING else None
            return common | {
                "transfer_id": public_id(incoming.name.province, movement_id) if movement_id else None,
                "amount_fen": request.amount_fen,
                "accept_by": waits_until and waits_until.astimezone(UTC),
            }
        case Operation.REFUND:
            return common | _returned(decision)
        case Operation.CANCEL:
            return common | _returned(decision) | {"effect": decision.effect}
        case Operation.LOOKUP:
            return common | _looked_up(decision.original)
        case Operation.RECONCILE:
            assert isinstance(request, ReconcileRequest)
            return common | _reconciled(request, decision)


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
