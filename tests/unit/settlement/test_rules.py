"""What a settle pays with. Contract: "How a settlement is decided", steps 3 to 6."""

from dataclasses import replace
from typing import Any

import pytest

from services.settlement.model import Decision
from shared.domain.accounts import Account
from tests.support.builders import PATIENT, candidate, decided, policy, position, quote, settle


def money(decision: Decision) -> tuple[int, int, int]:
    return decision.own_account_fen, decision.wallet_fen, decision.mutual_aid_fen


@pytest.mark.parametrize(
    ("balances", "paid", "outcome"),
    [
        pytest.param({"current": 10_000}, (10_000, 0, 0), "settled", id="own account covers it to the fen"),
        pytest.param({"current": 10_001}, (10_000, 0, 0), "settled", id="own account has more"),
        pytest.param({"current": 4_000, "prior": 6_000}, (10_000, 0, 0), "settled", id="both parts of the own account"),
        pytest.param({"wallet": 10_000}, (0, 10_000, 0), "settled", id="wallet alone"),
        pytest.param({"current": 1, "wallet": 9_999}, (1, 9_999, 0), "settled", id="own account, then wallet"),
        pytest.param({"current": 10_000, "wallet": 10_000}, (10_000, 0, 0), "settled", id="own account before wallet"),
        pytest.param({"current": 9_999}, (9_999, 0, 0), "partial", id="a fen short"),
        pytest.param({"wallet": 9_999}, (0, 9_999, 0), "partial", id="wallet a fen short"),
        pytest.param({"current": 1}, (1, 0, 0), "partial", id="one fen is something"),
        pytest.param({}, (0, 0, 0), "declined", id="nothing there"),
    ],
)
def test_own_account_pays_first_and_the_wallet_what_is_left(
    balances: dict[str, Any], paid: tuple[int, int, int], outcome: str
) -> None:
    """The own account pays min(balance, amount), the wallet min(wallet, what is left); the rest is cash."""
    decision = decided(settle(amount_fen=10_000), position(**balances))

    assert (money(decision), decision.outcome) == (paid, outcome)
    assert (decision.reason is None) == (outcome == "settled")


@pytest.mark.parametrize(
    ("amount", "current", "prior"),
    [
        pytest.param(300, -300, 0, id="this year's covers it"),
        pytest.param(500, -500, 0, id="all of this year's"),
        pytest.param(501, -500, -1, id="a fen of earlier years'"),
        pytest.param(1_200, -500, -700, id="everything"),
    ],
)
def test_patient_pays_with_this_years_money_first(amount: int, current: int, prior: int) -> None:
    """Within the own account this year's money goes before earlier years'."""
    (entry,) = decided(settle(amount_fen=amount), position(current=500, prior=700)).entries

    assert (entry.current_year_fen, entry.prior_years_fen, entry.wallet_fen) == (current, prior, 0)
    assert entry.person == PATIENT


@pytest.mark.parametrize(
    ("amount", "current", "prior"),
    [
        pytest.param(300, 0, -300, id="earlier years' covers it"),
        pytest.param(700, 0, -700, id="all of earlier years'"),
        pytest.param(701, -1, -700, id="a fen of this year's"),
        pytest.param(1_200, -500, -700, id="everything"),
    ],
)
def test_payer_pays_with_earlier_years_money_first(amount: int, current: int, prior: int) -> None:
    """Within a payer's account earlier years' money goes before this year's."""
    (entry,) = decided(settle(amount_fen=amount), position(candidate(current=500, prior=700))).entries

    assert (entry.current_year_fen, entry.prior_years_fen, entry.wallet_fen) == (current, prior, 0)
    assert entry.person.person_id == "payer"


@pytest.mark.parametrize(
    "patient",
    [
        pytest.param({"insurance": "resident"}, id="a resident"),
        pytest.param({"frozen": True}, id="a frozen account"),
    ],
)
def test_own_account_of_nobody_but_an_active_employee_pays(patient: dict[str, Any]) -> None:
    """The balance of a resident or of a frozen account stays where it is; wallet and relatives still pay."""
    decision = decided(settle(), position(candidate(prior=9_000), current=10_000, wallet=1_000, **patient))

    assert money(decision) == (0, 1_000, 9_000)
    assert decision.own_balance_fen == 10_000


def test_own_account_stays_out_when_the_sender_says_so() -> None:
    """With use_own_account false the wallet and mutual aid pay."""
    at = position(candidate(prior=9_000), current=50_000, wallet=1_000)

    decision = decided(settle(use_own_account=False), at)

    assert (money(decision), decision.outcome) == ((0, 1_000, 9_000), "settled")
    assert decision.own_balance_fen == 50_000


def test_use_own_account_false_and_nobody_else() -> None:
    """A full own account does not count when it may not be used."""
    decision = decided(settle(use_own_account=False), position(current=50_000))

    assert (decision.outcome, decision.reason, decision.entries) == ("declined", "no_binding", ())


def test_wallet_pays_before_mutual_aid() -> None:
    """A relative is asked only for what own account and wallet leave."""
    decision = decided(settle(), position(candidate(prior=50_000), current=2_000, wallet=3_000))

    assert money(decision) == (2_000, 3_000, 5_000)
    assert decision.payer_id == "payer"


def test_payers_wallet_is_not_a_payers_account() -> None:
    """What relatives gave the payer by wallet is not shared on."""
    decision = decided(settle(), position(candidate(prior=9_999, wallet=50_000)))

    assert (decision.reason, money(decision)) == ("richest_payer_insufficient", (0, 0, 0))


def test_payer_is_not_asked_when_nothing_is_left() -> None:
    """No payer is named where own account and wallet cover it all."""
    decision = decided(settle(use_mutual_aid=False), position(candidate(prior=50_000), current=10_000))

    assert (decision.outcome, decision.reason, decision.payer_id) == ("settled", None, None)


@pytest.mark.parametrize(
    ("fields", "current", "outcome", "reason"),
    [
        pytest.param(
            {"use_mutual_aid": False},
            4_000,
            "partial",
            "mutual_aid_not_requested",
            id="own account pays part",
        ),
        pytest.param({"use_mutual_aid": False}, 0, "declined", "mutual_aid_not_requested", id="nothing to pay with"),
        pytest.param({"use_mutual_aid": True}, 4_000, "settled", None, id="good neighbour: requested"),
    ],
)
def test_mutual_aid_that_was_not_requested(
    fields: dict[str, bool], current: int, outcome: str, reason: str | None
) -> None:
    """A relative who could pay does not when the sender did not ask for it."""
    decision = decided(settle(**fields), position(candidate(prior=50_000), current=current))

    assert (decision.outcome, decision.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("fields", "relatives", "balances", "reason"),
    [
        pytest.param({}, [], {"current": 9_999}, "no_binding", id="no binding"),
        pytest.param({}, [], {"wallet": 9_999}, "no_binding", id="wallet short"),
        pytest.param(
            {}, [candidate(prior=1)], {"current": 9_998}, "richest_payer_insufficient", id="payer a fen short"
        ),
        pytest.param({}, [candidate(prior=0)], {"current": 5_000}, "payer_balance_zero", id="payer has nothing"),
        pytest.param({}, [candidate(prior=9_999, frozen=True)], {"current": 1}, "payer_account_frozen", id="payer out"),
        pytest.param(
            {"use_mutual_aid": False},
            [candidate(prior=9_999)],
            {"current": 1},
            "own_balance_insufficient",
            id="own only",
        ),
        pytest.param({"use_mutual_aid": False}, [], {}, "own_balance_insufficient", id="own only, nothing there"),
    ],
)
def test_require_full_takes_all_or_nothing(
    fields: dict[str, bool], relatives: list[Any], balances: dict[str, Any], reason: str
) -> None:
    """With require_full and cash left nothing is debited; the reason is the one that was found."""
    decision = decided(settle(require_full=True, **fields), position(*relatives, **balances))

    assert (decision.outcome, decision.reason) == ("declined", reason)
    assert (money(decision), decision.entries, decision.payer_id) == ((0, 0, 0), (), None)
    assert decision.own_balance_fen == balances.get("current", 0)


@pytest.mark.parametrize(
    ("fields", "relatives", "balances"),
    [
        pytest.param({}, [], {"current": 10_000}, id="own account"),
        pytest.param({}, [], {"current": 1, "wallet": 9_999}, id="own account and wallet"),
        pytest.param({}, [candidate(prior=2)], {"current": 9_998}, id="own account and payer"),
        pytest.param({"use_mutual_aid": False}, [], {"current": 10_000}, id="mutual aid not requested and not needed"),
    ],
)
def test_require_full_is_content_when_accounts_pay_it_all(
    fields: dict[str, bool], relatives: list[Any], balances: dict[str, Any]
) -> None:
    """require_full changes nothing where no cash is left."""
    decision = decided(settle(require_full=True, **fields), position(*relatives, **balances))

    assert (decision.outcome, decision.reason, sum(money(decision))) == ("settled", None, 10_000)


@pytest.mark.parametrize(
    ("fields", "at", "balance"),
    [
        pytest.param({}, position(known=False, current=7), None, id="person refused: null"),
        pytest.param(
            {"credential": {"type": "01", "person_id": "son"}},
            position(current=7),
            None,
            id="credential: null",
        ),
        pytest.param({"expense_type": "fitness"}, position(current=4, prior=3), 7, id="expense refused: as it is"),
        pytest.param({}, position(), 0, id="no account: 0"),
        pytest.param({}, position(insurance="resident", wallet=9), 0, id="a resident without an account: 0"),
        pytest.param({}, position(candidate(prior=10_000)), 0, id="no account and a relative pays: 0"),
        pytest.param({}, position(current=8_000, prior=7_000), 5_000, id="after, both parts"),
        pytest.param({}, position(current=8_000, prior=1_999), 0, id="after a partial: 0"),
        pytest.param({}, position(current=10_000, wallet=500), 0, id="without the wallet"),
        pytest.param({"require_full": True}, position(current=8_000), 8_000, id="declined: nothing taken"),
    ],
)
def test_own_balance_after_the_answer(fields: dict[str, Any], at: Any, balance: int | None) -> None:
    """The patient's personal account afterwards: both parts, without the wallet; null where refused."""
    decision = decided(settle(**fields), at)

    assert decision.own_balance_fen == balance


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(position(current=20_000), id="own account"),
        pytest.param(position(candidate(prior=20_000), current=2_000, wallet=3_000), id="all three"),
        pytest.param(position(candidate(prior=1), current=2_000), id="partial"),
        pytest.param(position(), id="declined"),
        pytest.param(position(known=False), id="person refused"),
    ],
)
def test_quote_says_what_a_settle_would_and_moves_nothing(at: Any) -> None:
    """A quote has the money fields and the payer of the settle, but debits nothing: the balance stays."""
    would, quoted = decided(settle(), at), decided(quote(), at)

    assert (quoted.outcome, quoted.reason, money(quoted), quoted.payer_id) == (
        would.outcome,
        would.reason,
        money(would),
        would.payer_id,
    )
    assert quoted.entries == ()
    assert quoted.own_balance_fen == (at.account.personal_fen if at.patient else None)


def test_patients_region_does_not_limit_what_the_payer_may_use() -> None:
    """keep_fen is the payer's region's: the patient's own account is used to the last fen."""
    at = position(current=10_000)
    kept = policy(keep_fen=200_000, funds="prior_years")

    decision = decided(settle(), replace(at, policy=kept))

    assert money(decision) == (10_000, 0, 0)


def test_an_entry_sums_to_zero_with_its_other_side() -> None:
    """What accounts pay is what the institution is owed."""
    entries = decided(settle(), position(candidate(prior=50_000), current=2_000, wallet=3_000)).entries

    assert sum(entry.contra_fen for entry in entries) == 10_000
    assert Account().plus(entries[0]) == Account(-2_000, 0, -3_000)
