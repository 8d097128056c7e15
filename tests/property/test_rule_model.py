"""The worker's rule against a naive second one, over random families. Amounts are small: ties are common."""

from typing import Any
from uuid import UUID

from hypothesis import event, given
from hypothesis import strategies as st

from services.settlement.batch import Batch
from services.settlement.model import Decision, Incoming
from services.settlement.rules import decide
from shared.domain.accounts import Account
from shared.domain.ids import PersonKey
from shared.domain.mutual_aid import Binding
from shared.domain.policy import SHIPPED, shipped_policies
from tests.support import naive_rule
from tests.support.builders import PATIENT, batch, earlier, enrolment, policy, quote, settle

FEN = st.integers(0, 12)
LIMIT = st.none() | st.none() | st.integers(0, 25)
REGIONS = st.sampled_from(["130100", "130102", "130200", "139900"])
EXPENSES = ["outpatient", "inpatient", "pharmacy", "resident_premium"]
MOSTLY_TRUE = st.sampled_from([True] * 7 + [False])
RARELY_TRUE = st.sampled_from([False] * 7 + [True])
STATUSES = st.sampled_from(["active"] * 14 + ["suspended", "ended"])

POLICIES = st.fixed_dictionaries(
    {
        "scope": st.sampled_from(["pool", "province", "nation"]),
        "funds": st.sampled_from(["all", "prior_years"]),
        "keep_fen": st.just(0) | st.integers(0, 3),
        "annual_limit_fen": LIMIT,
        "shared_expense_types": st.sampled_from([EXPENSES, EXPENSES, EXPENSES, EXPENSES[1:]]),
    }
)
SHIPPED_POLICIES = {
    version.code: version.policy.model_dump(mode="json") for version in shipped_policies() if version.version == SHIPPED
}


@st.composite
def people(draw: st.DrawFn, insurance: list[str], regions: st.SearchStrategy[str]) -> dict[str, Any]:
    return {
        "region": draw(regions),
        "insurance": draw(st.sampled_from(insurance)),
        "status": draw(STATUSES),
        "frozen": draw(RARELY_TRUE),
        "current": draw(FEN),
        "prior": draw(FEN),
        "wallet": draw(st.just(0) | FEN),
    }


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """A patient, up to five payers in the order of chance, and the policies of their regions."""
    payers = []
    for number in draw(st.permutations(range(1, draw(st.integers(0, 5)) + 1))):
        payer = draw(people(["employee"] * 9 + ["resident"], REGIONS | st.just("110100")))
        bound = {"bound_on": -draw(st.integers(0, 2)), "limit": draw(LIMIT), "used": draw(st.integers(0, 4))}
        payers.append({**payer, **bound, "id": f"payer-{number}", "binding": number})
    patient = draw(people(["employee", "resident"], REGIONS))
    put = draw(st.dictionaries(st.sampled_from(["130100", "1301", "1302", "13", "11"]), POLICIES))
    return {
        "patient": draw(st.sampled_from([patient] * 19 + [None])),
        "payers": payers,
        "kinship_linked": draw(st.booleans()),
        "policies": {**SHIPPED_POLICIES, **put},
        "put": put,
    }


REQUESTS = st.fixed_dictionaries(
    {
        "person_id": st.just("patient"),
        "credential": st.sampled_from(["patient"] * 19 + ["payer-1"]).map(lambda who: {"type": "01", "person_id": who}),
        "expense_type": st.sampled_from(EXPENSES * 8 + ["public_health", "fitness", "wellness"]),
        "amount_fen": st.integers(1, 30),
        "use_own_account": MOSTLY_TRUE,
        "use_mutual_aid": MOSTLY_TRUE,
        "require_full": RARELY_TRUE,
    }
)


def key_of(payer: dict[str, Any]) -> PersonKey:
    return PersonKey(int(payer["region"][:2]), payer["id"])


def as_batch(world: dict[str, Any]) -> Batch:
    """The same family as the worker reads it from its database."""
    everybody = {key_of(payer): payer for payer in world["payers"]}
    if world["patient"]:
        everybody[PATIENT] = world["patient"]
    built = batch(
        {
            key: enrolment(one["region"], one["insurance"], one["status"], frozen=one["frozen"])
            for key, one in everybody.items()
        },
        {key: Account(one["current"], one["prior"], one["wallet"]) for key, one in everybody.items()},
        [
            Binding(UUID(int=payer["binding"]), key_of(payer), earlier(days=-payer["bound_on"]), payer["limit"])
            for payer in world["payers"]
        ],
        [policy(code, 1, **fields) for code, fields in world["put"].items()],
        kinship_linked=world["kinship_linked"],
    )
    built.facts.used_fen.update({UUID(int=payer["binding"]): payer["used"] for payer in world["payers"]})
    return built


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
        (seen,) = [each for each in ranked if each.binding_id == entry.binding_id]
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

    answer = in_batch.decide(Incoming(quote(**asked))).answer.model_dump()

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
