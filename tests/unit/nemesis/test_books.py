"""An institution's own books, kept from the answers alone."""

from tests.nemesis.books import Totals, days
from tests.nemesis.history import Asked, History


def told(history: History, name: str, operation: str, at: str, **answer: object) -> None:
    sent_by = answer.pop("institution_id", "H1")
    history.asked[name] = Asked(
        operation, {"request_id": name, "institution_id": sent_by, "original_request_id": name[:-1]}
    )
    money = {"own_account_fen": 0, "wallet_fen": 0, "mutual_aid_fen": 0, **answer}
    history.looked_up[name] = {"original": {"operation": operation, "decided_at": at, **money}}


def test_a_day_counts_what_was_debited_and_what_came_back_on_it() -> None:
    """The day is Shanghai's; a declined bill does not count, a refund that was taken again was not returned."""
    history, day, next_day = History(), "2026-11-28T23:59:59+08:00", "2026-11-28T16:00:00Z"
    told(history, "A", "settle", day, outcome="partial", own_account_fen=100, wallet_fen=20, mutual_aid_fen=0)
    told(history, "B", "settle", day, outcome="settled", mutual_aid_fen=50)
    told(history, "C", "settle", day, outcome="declined")
    told(history, "D", "settle", day, outcome="settled", own_account_fen=7, institution_id="H2")
    told(history, "A1", "refund", next_day, outcome="refunded", amount_fen=30)
    told(history, "A11", "cancel", next_day, outcome="cancelled", effect="reversed", amount_fen=30)
    told(history, "B2", "cancel", next_day, outcome="cancelled", effect="reversed", amount_fen=50)

    found = days(history, "H1")

    assert found == {"2026-11-28": Totals(2, 170, 50, 0), "2026-11-29": Totals(0, 0, 0, 50)}
