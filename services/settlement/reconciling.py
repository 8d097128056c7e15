"""An institution's day beside ours. Pure. Source: contract.md, "reconcile"."""

from services.settlement.model import Day, Decision
from shared.messages.envelope import Outcome
from shared.messages.reconcile import Difference, DifferenceKind, Line, ReconcileRequest, Totals


def reconcile(request: ReconcileRequest, day: Day) -> Decision:
    """Balanced where all four totals agree and, if lines were given, each line does."""
    differences = None if request.lines is None else compare(request.lines, day)
    balanced = day.totals == theirs(request) and not differences
    return Decision(Outcome.BALANCED if balanced else Outcome.DIFFERS, day=day, differences=differences)


def theirs(request: ReconcileRequest) -> Totals:
    return Totals(
        count=request.count,
        account_fen=request.account_fen,
        mutual_aid_fen=request.mutual_aid_fen,
        refunded_fen=request.refunded_fen,
    )


def compare(lines: tuple[Line, ...], day: Day) -> tuple[Difference, ...]:
    """Every settlement that one side has and the other has not, or has with other figures; by request id."""
    ours, named = day.lines or {}, {line.request_id: line for line in lines}
    found = []
    for request_id in sorted(ours.keys() | named.keys()):
        here, there = ours.get(request_id), named.get(request_id)
        if here is None:
            kind = DifferenceKind.MISSING_HERE
        elif there is None:
            kind = DifferenceKind.MISSING_THERE
        elif (here.account_fen, here.mutual_aid_fen) != (there.account_fen, there.mutual_aid_fen):
            kind = DifferenceKind.DIFFERENT
        else:
            continue
        found.append(Difference(request_id=request_id, kind=kind, ours=here, theirs=there))
    return tuple(found)
