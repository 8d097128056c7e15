"""The worker's rule against a naive second one, over random families."""

from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from services.settlement.incoming import Incoming
from services.settlement.model import Decision
from services.settlement.rules import decide
from tests.support import naive_rule
from tests.support.builders import quote, settle
from tests.support.families import REQUESTS, as_batch, worlds
from tests.support.reading import read


def decision_of(asked: dict[str, Any], world: dict[str, Any]) -> Decision:
    request = settle(**asked)
    verdict = decide(request, as_batch(world).position(Incoming(request)))
    assert isinstance(verdict, Decision)
    return verdict


@given(REQUESTS, worlds())
def test_rule_is_the_contracts(asked: dict[str, Any], world: dict[str, Any]) -> None:
    """The worker and the naive rule say the same, to the fen of each part of each account."""
    expected = naive_rule.settle(asked, world)
    event(f"{expected['outcome']} {expected['reason']}")

    decision = decision_of(asked, world)

    assert {
        "outcome": decision.outcome,
        "reason": decision.reason,
        "own": decision.own_account_fen,
        "wallet": decision.wallet_fen,
        "mutual": decision.mutual_aid_fen,
        "payer": decision.payer_id,
        "own_balance": decision.own_balance_fen,
        "paid": {
            entry.person.person_id: (-entry.current_year_fen, -entry.prior_years_fen, -entry.wallet_fen)
            for entry in decision.entries
        },
    } == expected


@given(REQUESTS, worlds())
def test_accounts_pay_what_the_decision_says(asked: dict[str, Any], world: dict[str, Any]) -> None:
    """The entries sum to what accounts paid, the rest is cash; declined is exactly nothing debited."""
    decision = decision_of(asked, world)

    paid = decision.own_account_fen + decision.wallet_fen + decision.mutual_aid_fen
    cash = asked["amount_fen"] - paid
    assert sum(entry.contra_fen for entry in decision.entries) == paid
    assert min(decision.own_account_fen, decision.wallet_fen, decision.mutual_aid_fen, cash) >= 0
    assert (decision.outcome == "declined") == (paid == 0)
    assert (decision.outcome == "settled") == (cash == 0) == (decision.reason is None)
    assert not (asked["require_full"] and decision.outcome == "partial")


@given(REQUESTS, worlds())
def test_no_balance_goes_below_zero(asked: dict[str, Any], world: dict[str, Any]) -> None:
    """Not one part of one account, and nobody is paid by a settlement."""
    accounts = as_batch(world).accounts

    for entry in decision_of(asked, world).entries:
        after = accounts[entry.person].plus(entry)
        assert min(after.current_year_fen, after.prior_years_fen, after.wallet_fen) >= 0
        assert max(entry.current_year_fen, entry.prior_years_fen, entry.wallet_fen) <= 0


@given(REQUESTS, worlds())
def test_one_relative_at_most_pays_and_it_is_the_richest(asked: dict[str, Any], world: dict[str, Any]) -> None:
    """Never two payers, never the second richest, never one who is out, and never a part of the shortfall."""
    decision = decision_of(asked, world)

    payers = [entry for entry in decision.entries if entry.binding_id]
    ranked = [seen for seen in decision.considered if seen.out is None]
    assert len(payers) == (decision.payer_id is not None) == (decision.mutual_aid_fen > 0)
    for entry in payers:
        (seen,) = [each for each in ranked if each.candidate.binding.binding_id == entry.binding_id]
        assert seen.usable_fen == max(each.usable_fen for each in ranked)
        assert (
            seen.usable_fen
            >= decision.mutual_aid_fen
            == asked["amount_fen"] - (decision.own_account_fen + decision.wallet_fen)
        )
        assert seen.limit_left_fen is None or seen.limit_left_fen >= decision.mutual_aid_fen
        assert entry.wallet_fen == 0


@given(REQUESTS, worlds(), st.randoms(use_true_random=False))
def test_order_of_the_bindings_does_not_matter(asked: dict[str, Any], world: dict[str, Any], chance: Any) -> None:
    """However the database returns them, the same payer pays."""
    shuffled = {**world, "payers": chance.sample(world["payers"], len(world["payers"]))}

    one, other = decision_of(asked, world), decision_of(asked, shuffled)

    assert (one.outcome, one.reason, one.entries) == (other.outcome, other.reason, other.entries)


@given(REQUESTS, worlds())
def test_quote_promises_what_the_settle_does(asked: dict[str, Any], world: dict[str, Any]) -> None:
    """A quote and a settle of the same position differ in nothing but that money moves."""
    settled, in_batch = decision_of(asked, world), as_batch(world)
    accounts = dict(in_batch.accounts)

    answer = read(in_batch.decide(Incoming(quote(**asked))).answer).model_dump()

    assert [answer[name] for name in ("outcome", "reason", "own_account_fen", "wallet_fen", "mutual_aid_fen")] == [
        settled.outcome,
        settled.reason,
        settled.own_account_fen,
        settled.wallet_fen,
        settled.mutual_aid_fen,
    ]
    assert (answer["payer_id"], answer["settlement_id"], in_batch.accounts) == (
        settled.payer_id,
        None,
        accounts,
    )
