"""One request and one answer of each operation, as they go over the wire. The tests hold them against the models."""

from typing import Any

from shared.domain.reasons import TEXTS, Reason
from shared.messages.envelope import Operation

ENVELOPE = {
    "institution_id": "H13010000001",
    "insured_region": "130100",
    "occurred_at": "2026-11-22T09:30:00+08:00",
}
BILL: dict[str, Any] = {
    **ENVELOPE,
    "person_id": "P130100000042",
    "credential": {"type": "01", "person_id": "P130100000042"},
    "expense_type": "outpatient",
    "amount_fen": 12850,
    "care_region": "130100",
}
ANSWERED: dict[str, Any] = {
    "institution_id": "H13010000001",
    "reason": None,
    "reason_text": None,
    "decided_at": "2026-11-22T01:30:00.123456Z",
    "replayed": False,
}
SETTLED: dict[str, Any] = {
    **ANSWERED,
    "operation": "settle",
    "request_id": "20261122-000017",
    "outcome": "settled",
    "settlement_id": "13-019ac0ffee007abc8def0123456789ab",
    "amount_fen": 12850,
    "own_account_fen": 2850,
    "wallet_fen": 0,
    "mutual_aid_fen": 10000,
    "cash_fen": 0,
    "payer_id": "P130100000007",
    "own_balance_fen": 0,
}

RETURNED: dict[str, Any] = {
    **ANSWERED,
    "settlement_id": "13-019ac0ffee007abc8def0123456789ab",
    "amount_fen": 2000,
    "own_account_fen": 0,
    "wallet_fen": 0,
    "mutual_aid_fen": 2000,
    "payer_id": "P130100000007",
    "own_balance_fen": 0,
}

EXAMPLES: dict[Operation, dict[str, dict[str, Any]]] = {
    Operation.SETTLE: {"request": {"request_id": "20261122-000017", **BILL}, "answer": SETTLED},
    Operation.QUOTE: {
        "request": {"request_id": "20261122-000016", **BILL},
        "answer": {
            **SETTLED,
            "operation": "quote",
            "request_id": "20261122-000016",
            "settlement_id": None,
            "own_balance_fen": 2850,
        },
    },
    Operation.SETTLE_BULK: {
        "request": {
            **ENVELOPE,
            "request_id": "20261122-night-004",
            "settlements": [{"request_id": "20261122-000017", **BILL}, {"request_id": "20261122-000018", **BILL}],
        },
        "answer": {
            **ANSWERED,
            "operation": "settle_bulk",
            "request_id": "20261122-night-004",
            "outcome": "answered",
            "answers": [
                SETTLED,
                {
                    **SETTLED,
                    "request_id": "20261122-000018",
                    "outcome": "declined",
                    "reason": "richest_payer_insufficient",
                    "reason_text": TEXTS[Reason.RICHEST_PAYER_INSUFFICIENT].chinese,
                    "settlement_id": None,
                    "own_account_fen": 0,
                    "mutual_aid_fen": 0,
                    "cash_fen": 12850,
                    "payer_id": None,
                },
            ],
        },
    },
    Operation.CREDIT: {
        "request": {
            **ENVELOPE,
            "request_id": "2026-11-contribution-42",
            "institution_id": "A13000000001",
            "person_id": "P130100000042",
            "fund": "current_year",
            "amount_fen": 30000,
        },
        "answer": {
            **ANSWERED,
            "operation": "credit",
            "request_id": "2026-11-contribution-42",
            "institution_id": "A13000000001",
            "outcome": "credited",
            "current_year_fen": 30000,
            "prior_years_fen": 0,
        },
    },
    Operation.TRANSFER: {
        "request": {
            **ENVELOPE,
            "request_id": "20261122-gift-3",
            "institution_id": "G12000000001",
            "insured_region": "120100",
            "from_person_id": "P120100000007",
            "to_person_id": "P130100000042",
            "to_insured_region": "130100",
            "amount_fen": 50000,
        },
        "answer": {
            **ANSWERED,
            "operation": "transfer",
            "request_id": "20261122-gift-3",
            "institution_id": "G12000000001",
            "outcome": "pending",
            "transfer_id": "12-019ac0ffee007abc8def0123456789ab",
            "amount_fen": 50000,
            "accept_by": "2026-11-22T22:00:00Z",
        },
    },
    Operation.REFUND: {
        "request": {
            **ENVELOPE,
            "request_id": "20261122-000017-r1",
            "original_request_id": "20261122-000017",
            "amount_fen": 2000,
        },
        "answer": {**RETURNED, "operation": "refund", "request_id": "20261122-000017-r1", "outcome": "refunded"},
    },
    Operation.CANCEL: {
        "request": {**ENVELOPE, "request_id": "20261122-000017-c", "original_request_id": "20261122-000017"},
        "answer": {
            **RETURNED,
            "operation": "cancel",
            "request_id": "20261122-000017-c",
            "outcome": "cancelled",
            "effect": "reversed",
            "amount_fen": 10850,
            "own_account_fen": 2850,
            "mutual_aid_fen": 8000,
            "own_balance_fen": 2850,
        },
    },
    Operation.RECONCILE: {
        "request": {
            **ENVELOPE,
            "request_id": "day-2026-11-22",
            "date": "2026-11-22",
            "count": 2,
            "account_fen": 20850,
            "mutual_aid_fen": 10000,
            "refunded_fen": 12850,
            "lines": [
                {"request_id": "20261122-000017", "account_fen": 12850, "mutual_aid_fen": 10000},
                {"request_id": "20261122-000018", "account_fen": 8000, "mutual_aid_fen": 0},
            ],
        },
        "answer": {
            **ANSWERED,
            "operation": "reconcile",
            "request_id": "day-2026-11-22",
            "outcome": "differs",
            "date": "2026-11-22",
            "ours": {"count": 1, "account_fen": 12850, "mutual_aid_fen": 10000, "refunded_fen": 12850},
            "theirs": {"count": 2, "account_fen": 20850, "mutual_aid_fen": 10000, "refunded_fen": 12850},
            "differences": [
                {
                    "request_id": "20261122-000018",
                    "kind": "missing_here",
                    "ours": None,
                    "theirs": {"request_id": "20261122-000018", "account_fen": 8000, "mutual_aid_fen": 0},
                }
            ],
            "differences_left_out": 0,
        },
    },
    Operation.LOOKUP: {
        "request": {**ENVELOPE, "request_id": "ask-1", "original_request_id": "20261122-000017"},
        "answer": {
            **ANSWERED,
            "operation": "lookup",
            "request_id": "ask-1",
            "outcome": "found",
            "original": SETTLED,
            "cancelled": False,
            "refunded_fen": 0,
        },
    },
}
