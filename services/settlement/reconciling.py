"""An institution's day beside ours. Pure. Source: contract.md, "reconcile"."""

from services.settlement.model import Day, Decision
from shared.messages.envelope import Outcome
from shared.messages.reconcile import ReconcileRequest, Totals


def reconcile(request: ReconcileRequest, day: Day) -> Decision:
    """Balanced where all four totals agree and, if lines were given, each line does."""
    balanced = day.totals == theirs(request) and not day.differences
    return Decision(Outcome.BALANCED if balanced else Outcome.DIFFERS, day=day)


def theirs(request: ReconcileRequest) -> Totals:
    return Totals(
        count=request.count,
        account_fen=request.account_fen,
        mutual_aid_fen=request.mutual_aid_fen,
        refunded_fen=request.refunded_fen,
    )
