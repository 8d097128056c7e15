"""A family's requests through a batch: regions, and what one request leaves to the next."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.domain.accounts import Account
from shared.domain.ids import PersonKey
from tests.support.builders import (
    PATIENT,
    PAYER,
    answered,
    batch,
    binding,
    credit,
    enrolment,
    family,
    lookup,
    policy,
    quote,
    settle,
)

# ---- regions ----


@pytest.mark.parametrize(
    ("payer_region", "scopes", "reason"),
    [
        pytest.param("130100", {"1301": "pool"}, None, id="same code, closed"),
        pytest.param("130102", {"1301": "pool"}, None, id="same pooling area, closed"),
        pytest.param("139900", {"1301": "province", "1399": "province"}, None, id="one province, both open"),
        pytest.param("139900", {"1301": "nation", "1399": "province"}, None, id="nation counts as open"),
        pytest.param("139900", {"1301": "nation", "1399": "nation"}, None, id="both nation"),
        pytest.param("139900", {"1301": "pool", "1399": "province"}, "region_not_connected", id="patient's closed"),
        pytest.param("139900", {"1301": "province", "1399": "pool"}, "region_not_connected", id="payer's closed"),
        pytest.param("139900", {"1301": "pool", "1399": "nation"}, "region_not_connected", id="nation and pool"),
        pytest.param("139900", {"1301": "pool", "1399": "pool"}, "region_not_connected", id="both closed"),
        pytest.param("110100", {"1301": "nation", "1101": "nation"}, "region_not_connected", id="other province"),
    ],
)
def test_regions_share_within_an_area_or_an_open_province(
    payer_region: str, scopes: dict[str, str], reason: str | None
) -> None:
    """Same pooling area, or one province that both areas have opened; across provinces never."""
    in_batch = family(payer_region, policies=[policy(code, scope=scope) for code, scope in scopes.items()])

    answer = answered(in_batch, settle())

    assert (answer["outcome"], answer["reason"]) == ("declined" if reason else "settled", reason)


def test_payer_in_another_province_keeps_nobody_else_from_paying() -> None:
    """A binding across provinces is for the wallet: it is out, and a nearer relative pays."""
    far = PersonKey(11, "far")
    in_batch = batch(
        {PATIENT: enrolment(insurance="resident"), far: enrolment("110100"), PAYER: enrolment()},
        {far: Account(prior_years_fen=900_000), PAYER: Account(prior_years_fen=10_000)},
        [binding("far", number=1, province=11), binding("payer", number=2)],
        [policy("13", scope="nation"), policy("11", scope="nation")],
    )

    answer = answered(in_batch, settle())

    assert (answer["outcome"], answer["payer_id"]) == ("settled", "payer")


def test_wallet_pays_across_provinces() -> None:
    """What a relative elsewhere has transferred is spent like one's own."""
    answer = answered(family("110100", wallet=10_000), settle())

    assert (answer["outcome"], answer["wallet_fen"], answer["mutual_aid_fen"]) == ("settled", 10_000, 0)


@pytest.mark.parametrize("care_region", ["130100", "110100", "650100"])
def test_region_of_care_does_not_matter(care_region: str) -> None:
    """Care anywhere in the country is paid for alike."""
    answer = answered(family(), settle(care_region=care_region))

    assert (answer["outcome"], answer["payer_id"]) == ("settled", "payer")


def test_pooling_area_is_the_registrys_not_the_requests() -> None:
    """The request names any region of the province; the patient's pooling area comes from the registry."""
    closed = [policy("1301", scope="pool"), policy("1302", scope="pool")]

    same = answered(family("130200", "130200", policies=closed), settle(insured_region="130100"))
    apart = answered(family("130100", "130200", policies=closed), settle(insured_region="130100"))

    assert (same["outcome"], apart["reason"]) == ("settled", "region_not_connected")


def test_person_of_another_province_is_unknown() -> None:
    """insured_region's province is where the person is looked for."""
    answer = answered(family(), settle(insured_region="110100"))

    assert (answer["outcome"], answer["reason"], answer["own_balance_fen"]) == (
        "declined",
        "person_unknown",
        None,
    )


def test_policy_of_the_payers_region_decides_what_may_be_used() -> None:
    """keep_fen, funds, expenses and limit are the payer's region's, whatever the patient's region says."""
    strict: dict[str, Any] = {"keep_fen": 10**9, "shared_expense_types": [], "annual_limit_fen": 0}
    generous = policy("1302", annual_limit_fen=None)

    pays = answered(family("130200", "130100", policies=[generous, policy("1301", **strict)]), settle())
    out = answered(family("130100", "130200", policies=[generous, policy("1301", **strict)]), settle())

    assert (pays["outcome"], out["reason"]) == ("settled", "expense_not_shared")


def test_policy_is_the_one_in_effect_on_the_shanghai_date() -> None:
    """A policy of the 23rd holds from midnight in Shanghai, which is 16:00 UTC on the 22nd."""
    closing = [policy("13", 1, scope="province"), policy("13", 2, scope="pool", effective_from="2026-11-23")]
    before, after = datetime(2026, 11, 22, 15, 59, 59, tzinfo=UTC), datetime(2026, 11, 22, 16, tzinfo=UTC)

    open_still = answered(family("139900", policies=closing, now=before), settle())
    closed_by_now = answered(family("139900", policies=closing, now=after), settle())

    assert (open_still["outcome"], closed_by_now["reason"]) == ("settled", "region_not_connected")


# ---- each request sees what the ones before it took ----


def test_second_request_sees_what_the_first_took() -> None:
    """A payer's money is spent once."""
    in_batch = family()

    first = answered(in_batch, settle(amount_fen=30_000))
    second = answered(in_batch, settle(amount_fen=30_000, request_id="R-2"))
    third = answered(in_batch, settle(amount_fen=20_000, request_id="R-3"))
    fourth = answered(in_batch, settle(request_id="R-4"))

    assert [each["reason"] for each in (first, second, third, fourth)] == [
        None,
        "richest_payer_insufficient",
        None,
        "payer_balance_zero",
    ]


def test_limit_counts_what_the_batch_has_used() -> None:
    """A binding's limit is used up by the requests before."""
    in_batch = family(limit=15_000)

    first, second = answered(in_batch, settle()), answered(in_batch, settle(request_id="R-2"))
    third = answered(in_batch, settle(request_id="R-3", amount_fen=5_000))

    assert [each["reason"] for each in (first, second, third)] == [None, "authorised_limit_exceeded", None]


def test_credit_is_there_for_the_next_request() -> None:
    """What the agency has paid in can be spent at once."""
    in_batch = batch({PATIENT: enrolment()}, {PATIENT: Account()})

    before = answered(in_batch, settle(request_id="R-1"))
    paid_in = answered(in_batch, credit(amount_fen=25_000))
    after = answered(in_batch, settle(request_id="R-2"))

    assert (before["reason"], paid_in["current_year_fen"], after["own_balance_fen"]) == (
        "no_binding",
        25_000,
        15_000,
    )


def test_quote_takes_nothing_from_the_next_request() -> None:
    """However often it is asked, a quote leaves everything as it is."""
    in_batch = family()

    quotes = [answered(in_batch, quote(amount_fen=50_000)) for _ in range(3)]

    assert [(each["outcome"], each["payer_id"], each["settlement_id"]) for each in quotes] == [
        ("settled", "payer", None)
    ] * 3
    assert in_batch.accounts[PAYER] == Account(prior_years_fen=50_000)


# ---- the same name again ----


def test_same_request_again_gives_the_same_answer() -> None:
    """The stored answer, word for word but for `replayed`, and nothing moved."""
    in_batch = family()
    first = answered(in_batch, settle())
    accounts = dict(in_batch.accounts)

    again = answered(in_batch, settle(occurred_at="2026-11-22T01:30:00Z", require_full=False))

    assert again == {**first, "replayed": True}
    assert (first["replayed"], in_batch.accounts) == (False, accounts)


def test_decline_is_stored_like_any_decision() -> None:
    """A decline stays a decline under its name, though there is money by now."""
    in_batch = batch({PATIENT: enrolment()}, {PATIENT: Account()})
    declined = answered(in_batch, settle())
    answered(in_batch, credit(request_id="C-1", amount_fen=50_000))

    assert answered(in_batch, settle()) == {**declined, "replayed": True}
    assert answered(in_batch, settle(request_id="R-2"))["outcome"] == "settled"


def test_conflict_moves_nothing_and_leaves_the_first_answer() -> None:
    """The name stays the first request's."""
    in_batch = family()
    first = answered(in_batch, settle())
    accounts = dict(in_batch.accounts)

    conflict = answered(in_batch, settle(amount_fen=1))

    assert (conflict["outcome"], conflict["reason"], conflict["replayed"]) == (
        "rejected",
        "request_conflict",
        False,
    )
    assert (in_batch.accounts, answered(in_batch, settle())) == (accounts, {**first, "replayed": True})


def test_rejected_request_uses_no_name_up() -> None:
    """Corrected, it may be sent again under the same id."""
    in_batch = family()

    rejected = answered(in_batch, settle(institution_id="hospital-1", occurred_at="2027-01-01T00:00:00Z"))
    corrected = answered(in_batch, settle(institution_id="hospital-1"))

    assert (rejected["reason"], corrected["outcome"], corrected["replayed"]) == (
        "malformed",
        "settled",
        False,
    )
    assert rejected["reason_text"].endswith("（occurred_at: must not be more than a day ahead）")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"institution_id": "pharmacy-1"}, id="another institution"),
        pytest.param({"request_id": "r-1"}, id="another spelling of the id"),
    ],
)
def test_name_is_institution_and_request_id(other: dict[str, str]) -> None:
    """The same id of another institution, or an id in other letters, is another request."""
    in_batch = family()
    answered(in_batch, settle())

    answer = answered(in_batch, settle(**other))

    assert (answer["outcome"], answer["replayed"]) == ("settled", False)


def test_inquiries_are_never_stored() -> None:
    """A quote uses no name up: the settle under the same id is decided, and other quotes too."""
    in_batch = family()

    answered(in_batch, quote(amount_fen=1))
    second = answered(in_batch, quote(amount_fen=2))
    settled = answered(in_batch, settle())

    assert (second["amount_fen"], second["replayed"]) == (2, False)
    assert (settled["outcome"], settled["replayed"]) == ("settled", False)


def test_lookup_gives_the_stored_answer() -> None:
    """The answer as it was sent, in the words of the sender's request id."""
    in_batch = family()
    sent = answered(in_batch, settle())

    found = answered(in_batch, lookup())
    unknown = answered(in_batch, lookup(original_request_id="R-2"))

    assert (found["outcome"], found["original"], found["cancelled"], found["refunded_fen"]) == (
        "found",
        sent,
        False,
        0,
    )
    assert (unknown["outcome"], unknown["original"]) == ("not_found", None)


@pytest.mark.parametrize("where", [{"institution_id": "pharmacy-1"}, {"insured_region": "110100"}], ids=str)
def test_lookup_finds_only_the_senders_own_request_in_that_province(where: dict[str, str]) -> None:
    """Somebody else's request, or one in another province, is not found."""
    in_batch = family()
    answered(in_batch, settle())

    assert answered(in_batch, lookup(**where))["outcome"] == "not_found"
