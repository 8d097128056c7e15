"""Which relative pays, or why none does. Contract: "How a settlement is decided", step 5."""

from itertools import combinations, permutations
from typing import Any

import pytest

from shared.domain.enrolment import EndCause
from tests.support.builders import BOUND_AT, candidate, decided, earlier, position, settle

# Why a candidate is out, in the contract's order: what makes it so, and the nearest thing that does not.
OUT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "region_not_connected": ({"connected": False}, {"connected": True}),
    "payer_not_eligible": ({"insurance": "resident"}, {"insurance": "employee"}),
    "payer_account_frozen": ({"frozen": True}, {"frozen": False}),
    "expense_not_shared": ({"shared_expense_types": ["pharmacy"]}, {"shared_expense_types": ["outpatient"]}),
    "authorised_limit_exceeded": ({"limit": 9_999}, {"limit": 10_000}),
}


@pytest.mark.parametrize(("reason", "out", "good"), [(reason, *sides) for reason, sides in OUT.items()], ids=OUT)
def test_candidate_is_out_for_a_reason_and_in_without_it(
    reason: str, out: dict[str, Any], good: dict[str, Any]
) -> None:
    """Each reason takes a rich payer out, and its nearest neighbour pays."""
    refused = decided(settle(), position(candidate(prior=50_000, **out)))
    paid = decided(settle(), position(candidate(prior=50_000, **good)))

    assert (refused.outcome, refused.reason, refused.entries) == ("declined", reason, ())
    assert (paid.outcome, paid.reason, paid.mutual_aid_fen) == ("settled", None, 10_000)


def test_of_two_who_could_share_a_bill_one_is_debited() -> None:
    """Both have enough for half of it, and for all of it: one entry, for the whole shortfall."""
    decision = decided(
        settle(), position(candidate("richer", number=1, prior=90_000), candidate("other", number=2, prior=80_000))
    )

    assert [(entry.person.person_id, entry.contra_fen) for entry in decision.entries] == [("richer", 10_000)]
    assert (decision.payer_id, decision.mutual_aid_fen) == ("richer", 10_000)


@pytest.mark.parametrize(
    "payer",
    [
        pytest.param({"insurance": "resident"}, id="a resident"),
        pytest.param({"status": "suspended"}, id="suspended"),
        pytest.param({"status": "ended"}, id="left"),
        pytest.param({"insurance": "resident", "status": "ended"}, id="a resident who left"),
        pytest.param({"known": False}, id="not known any more"),
    ],
)
def test_payer_must_be_an_active_employee(payer: dict[str, Any]) -> None:
    """A resident, or an employee who is not active, does not pay."""
    decision = decided(settle(), position(candidate(prior=50_000, **payer)))

    assert (decision.outcome, decision.reason) == ("declined", "payer_not_eligible")


@pytest.mark.parametrize(
    ("closed", "reason"),
    [
        (EndCause.PAYER_LEFT, "payer_not_eligible"),
        (EndCause.PAYER_MOVED, "region_not_connected"),
        (EndCause.BENEFICIARY_MOVED, "region_not_connected"),
    ],
)
def test_a_binding_that_ended_by_itself_today_is_out_and_says_why(closed: EndCause, reason: str) -> None:
    """Though payer, region and money are as good as they were; another relative pays undisturbed."""
    former = candidate("former", number=1, prior=90_000, closed=closed)

    alone = decided(settle(), position(former))
    beside = decided(settle(), position(former, candidate("other", number=2, prior=50_000)))

    assert (alone.outcome, alone.reason, alone.entries) == ("declined", reason, ())
    assert (beside.outcome, beside.payer_id) == ("settled", "other")


@pytest.mark.parametrize(("first", "second"), list(combinations(OUT, 2)))
def test_candidate_out_for_several_reasons_names_the_first(first: str, second: str) -> None:
    """Of two reasons in one candidate the one earlier in the contract's list is given."""
    decision = decided(settle(), position(candidate(prior=50_000, **OUT[second][0], **OUT[first][0])))

    assert decision.reason == first


@pytest.mark.parametrize(("one", "other"), list(permutations(OUT, 2)))
def test_all_candidates_out_gives_the_reason_nearest_to_success(one: str, other: str) -> None:
    """Among the candidates' reasons the one last in the contract's list is given, whoever comes first."""
    relatives = (candidate("one", number=1, **OUT[one][0]), candidate("other", number=2, **OUT[other][0]))

    decision = decided(settle(), position(*relatives))

    assert decision.reason == max(one, other, key=list(OUT).index)
    assert {seen.payer_id: seen.out for seen in decision.considered} == {"one": one, "other": other}


def test_all_five_reasons_at_once() -> None:
    """Five relatives, each out for another reason: the limit is the nearest to success."""
    relatives = [candidate(reason, number=n, prior=50_000, **OUT[reason][0]) for n, reason in enumerate(OUT, 1)]

    decision = decided(settle(), position(*relatives))

    assert decision.reason == "authorised_limit_exceeded"


@pytest.mark.parametrize("out", OUT)
def test_candidate_that_is_out_is_not_in_the_ranking(out: str) -> None:
    """A richer relative who is out neither pays nor keeps a poorer one from paying."""
    rich, poor = (
        candidate("rich", number=1, prior=90_000, **OUT[out][0]),
        candidate("poor", number=2, prior=10_000),
    )

    decision = decided(settle(), position(rich, poor))

    assert (decision.outcome, decision.payer_id) == ("settled", "poor")


@pytest.mark.parametrize("out", OUT)
@pytest.mark.parametrize(
    ("prior", "reason"),
    [(0, "payer_balance_zero"), (9_999, "richest_payer_insufficient")],
    ids=["zero", "short"],
)
def test_ranked_payers_reason_comes_before_those_of_payers_out(out: str, prior: int, reason: str) -> None:
    """As soon as one candidate is ranked, its balance decides and the others' reasons are not named."""
    relatives = (
        candidate("out", number=1, prior=90_000, **OUT[out][0]),
        candidate("in", number=2, prior=prior),
    )

    decision = decided(settle(), position(*relatives))

    assert decision.reason == reason


@pytest.mark.parametrize(
    ("prior", "outcome", "reason"),
    [
        pytest.param(0, "declined", "payer_balance_zero", id="zero"),
        pytest.param(1, "declined", "richest_payer_insufficient", id="one fen"),
        pytest.param(9_999, "declined", "richest_payer_insufficient", id="a fen short"),
        pytest.param(10_000, "settled", None, id="to the fen"),
    ],
)
def test_payer_covers_the_whole_shortfall_or_nothing(prior: int, outcome: str, reason: str | None) -> None:
    """A payer with nothing, and a payer with too little, pay nothing at all."""
    decision = decided(settle(), position(candidate(prior=prior)))

    assert (decision.outcome, decision.reason) == (outcome, reason)
    assert decision.mutual_aid_fen == (10_000 if outcome == "settled" else 0)


def test_richest_is_by_usable_balance_not_by_what_is_in_the_account() -> None:
    """A payer whose region keeps most of the balance back is poorer than it looks."""
    looks_rich = candidate("looks_rich", number=1, prior=300_000, keep_fen=285_000)
    is_rich = candidate("is_rich", number=2, prior=20_000)

    decision = decided(settle(), position(looks_rich, is_rich))

    assert decision.payer_id == "is_rich"


def test_richest_counts_only_funds_that_may_be_shared() -> None:
    """This year's money does not make a payer richer where only earlier years' may be shared."""
    this_year = candidate("this_year", number=1, current=90_000, prior=10_000, funds="prior_years")
    earlier_years = candidate("earlier_years", number=2, prior=10_001, funds="prior_years")

    decision = decided(settle(), position(this_year, earlier_years))

    assert decision.payer_id == "earlier_years"


def test_payers_are_never_combined() -> None:
    """Two relatives who together could cover the shortfall cover nothing of it."""
    decision = decided(settle(), position(candidate("a", number=1, prior=9_999), candidate("b", number=2, prior=9_999)))

    assert (decision.reason, decision.mutual_aid_fen) == ("richest_payer_insufficient", 0)


@pytest.mark.parametrize("order", list(permutations([0, 1, 2])), ids=str)
def test_richest_pays_in_whatever_order_the_bindings_come(order: tuple[int, ...]) -> None:
    """The ranking does not depend on the order in which bindings were read."""
    relatives = [candidate(f"p{n}", number=n + 1, prior=10_000 + n) for n in range(3)]

    decision = decided(settle(), position(*(relatives[n] for n in order)))

    assert decision.payer_id == "p2"


@pytest.mark.parametrize("turned", [False, True], ids=["older first", "older last"])
def test_tie_goes_to_the_binding_made_earliest(turned: bool) -> None:
    """Of two equally rich payers the one bound first pays, though its binding id is the greater."""
    older = candidate("older", number=9, prior=50_000, bound_at=earlier(days=1))
    newer = candidate("newer", number=1, prior=50_000, bound_at=BOUND_AT)
    relatives = (newer, older) if turned else (older, newer)

    decision = decided(settle(), position(*relatives))

    assert decision.payer_id == "older"


@pytest.mark.parametrize("turned", [False, True], ids=["smaller first", "smaller last"])
def test_tie_in_time_goes_to_the_smallest_binding_id(turned: bool) -> None:
    """Of two equally rich payers bound at one moment the smaller binding id pays."""
    smaller, greater = candidate("z", number=1, prior=50_000), candidate("a", number=2, prior=50_000)
    relatives = (greater, smaller) if turned else (smaller, greater)

    decision = decided(settle(), position(*relatives))

    assert decision.payer_id == "z"


def test_tie_is_in_usable_balance() -> None:
    """Different accounts with equally much to share are equally rich."""
    older = candidate("older", number=2, prior=30_000, keep_fen=10_000, bound_at=earlier(days=1))
    newer = candidate("newer", number=1, prior=20_000)

    decision = decided(settle(), position(newer, older))

    assert decision.payer_id == "older"


def test_a_fen_more_beats_an_older_binding() -> None:
    """Age and id only count between the equally rich."""
    older = candidate("older", number=1, prior=50_000, bound_at=earlier(days=700))
    richer = candidate("richer", number=2, prior=50_001)

    decision = decided(settle(), position(older, richer))

    assert decision.payer_id == "richer"


@pytest.mark.parametrize(
    ("expense", "shared"),
    [
        ("outpatient", ["outpatient"]),
        ("inpatient", ["inpatient"]),
        ("pharmacy", ["pharmacy"]),
        ("resident_premium", ["resident_premium"]),
    ],
)
def test_expense_is_shared_where_the_payers_region_shares_it(expense: str, shared: list[str]) -> None:
    """Each expense needs its own line in the payer's region's policy."""
    with_it = candidate(prior=50_000, shared_expense_types=shared)
    every = {"outpatient", "inpatient", "pharmacy", "resident_premium"}
    without = candidate(prior=50_000, shared_expense_types=sorted(every - set(shared)))

    assert decided(settle(expense_type=expense), position(with_it)).outcome == "settled"
    assert decided(settle(expense_type=expense), position(without)).reason == "expense_not_shared"


@pytest.mark.parametrize(
    ("linked", "relatives", "reason"),
    [
        pytest.param(False, [], "no_binding", id="nobody"),
        pytest.param(True, [], "kinship_account_only", id="only a kinship account"),
        pytest.param(True, [candidate(prior=0)], "payer_balance_zero", id="kinship account and a binding"),
        pytest.param(True, [candidate(frozen=True)], "payer_account_frozen", id="kinship account and a payer out"),
    ],
)
def test_kinship_account_is_named_where_it_was_mistaken_for_a_binding(
    linked: bool, relatives: list[Any], reason: str
) -> None:
    """A kinship link matters only where there is no candidate at all."""
    decision = decided(settle(), position(*relatives, kinship_linked=linked))

    assert (decision.outcome, decision.reason) == ("declined", reason)


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(position(), id="no binding"),
        pytest.param(position(kinship_linked=True), id="kinship account"),
        pytest.param(position(candidate(frozen=True)), id="payer out"),
        pytest.param(position(candidate(prior=0)), id="payer has nothing"),
    ],
)
def test_mutual_aid_not_requested_comes_before_what_it_would_have_found(at: Any) -> None:
    """Nobody is considered when mutual aid was not requested."""
    decision = decided(settle(use_mutual_aid=False), at)

    assert (decision.reason, decision.considered) == ("mutual_aid_not_requested", ())


@pytest.mark.parametrize(
    "reason", ["no_binding", "payer_balance_zero", "richest_payer_insufficient", "payer_account_frozen"]
)
def test_partial_names_why_no_relative_paid_the_rest(reason: str) -> None:
    """What the own account paid stays paid, and the reason says why cash is left."""
    relatives = {
        "no_binding": [],
        "payer_balance_zero": [candidate()],
        "richest_payer_insufficient": [candidate(prior=1)],
        "payer_account_frozen": [candidate(frozen=True)],
    }[reason]

    decision = decided(settle(), position(*relatives, current=6_000))

    assert (decision.outcome, decision.reason, decision.own_account_fen) == ("partial", reason, 6_000)
    assert decision.payer_id is None


def test_everybody_considered_is_recorded_with_what_decided() -> None:
    """The decision can be explained: each candidate's usable balance, limit left and why it was out."""
    relatives = (
        candidate("pays", number=1, prior=20_000, limit=50_000, used=5_000),
        candidate("poorer", number=2, prior=15_000),
        candidate("frozen", number=3, prior=90_000, frozen=True),
    )

    considered = decided(settle(), position(*relatives)).considered

    assert [(seen.payer_id, seen.usable_fen, seen.limit_left_fen, seen.out) for seen in considered] == [
        ("pays", 20_000, 45_000, None),
        ("poorer", 15_000, None, None),
        ("frozen", 90_000, None, "payer_account_frozen"),
    ]
