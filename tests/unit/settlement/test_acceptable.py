"""Is a request acceptable, and is the patient? Contract: "How a settlement is decided", steps 1 and 2."""

from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest

from services.settlement.model import Rejection
from services.settlement.rules import decide
from shared.domain.reasons import Reason
from tests.support.builders import NOW, credit, decided, lookup, position, quote, reason_of, settle, stored
from tests.support.direct import REAL, address

TOO_LATE = (NOW + timedelta(days=1, seconds=1)).isoformat()
JUST_RIGHT = (NOW + timedelta(days=1)).isoformat()

# Every refusal of steps 1 and 2 in the contract's order: the request and position that are refused, and the
# nearest request and position that are not.
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "malformed": ({"occurred_at": TOO_LATE}, {}, {"occurred_at": JUST_RIGHT}, {}),
    "sender_mismatch": ({}, {"user_id": "other"}, {}, {"user_id": "clinic"}),
    "reply_queue_not_allowed": ({}, {"reply_to": "reply.other.1"}, {}, {"reply_to": "reply.clinic.1"}),
    "signature_invalid": ({}, {"signature_holds": False}, {}, {"signature_holds": True}),
    "request_conflict": (
        {},
        {"stored": stored(settle(amount_fen=1))},
        {},
        {"stored": None},
    ),
    "institution_unknown": ({}, {"registered": False}, {}, {"registered": True}),
    "institution_suspended": ({}, {"suspended": True}, {}, {"suspended": False}),
    "institution_not_allowed": ({}, {"kind": "agency"}, {}, {"kind": "tax_office"}),
    "person_unknown": ({}, {"known": False}, {}, {"known": True}),
    "credential_mismatch": (
        {"credential": {"type": "01", "person_id": "son"}},
        {},
        {"credential": {"type": "03", "person_id": "patient"}},
        {},
    ),
    "person_not_insured": ({}, {"status": "suspended"}, {}, {"status": "active"}),
    "expense_not_covered": ({"expense_type": "wellness"}, {}, {"expense_type": "inpatient"}, {}),
}
REJECTED = list(REFUSED)[: list(REFUSED).index("person_unknown")]
NEED_AUTHENTICATION = {"sender_mismatch", "reply_queue_not_allowed"}
# Where senders are authenticated, nobody is the registered user of an institution that is not registered; nor has it keys.
IMPOSSIBLE = {("reply_queue_not_allowed", "institution_unknown"), ("signature_invalid", "institution_unknown")}


def at(*reasons: str, **fields: Any) -> dict[str, Any]:
    """The position's side: a rich patient, and senders authenticated where a reason needs it."""
    authenticated = bool(NEED_AUTHENTICATION.intersection(reasons))
    sender = {"user_id": "clinic", "authenticate_senders": True} if authenticated else {}
    return {"current": 50_000, **sender, **fields}


@pytest.mark.parametrize("reason", REFUSED)
def test_refusal_has_its_reason(reason: str) -> None:
    """Each refusal of steps 1 and 2: rejected where the request is at fault, declined for the patient."""
    request, where, _, _ = REFUSED[reason]

    verdict = decide(settle(**request), position(**at(reason, **where)))

    assert reason_of(verdict) == reason
    assert isinstance(verdict, Rejection) == (reason in REJECTED)


@pytest.mark.parametrize("reason", REFUSED)
def test_good_neighbour_of_a_refusal_is_settled(reason: str) -> None:
    """The nearest request and position without the fault are settled."""
    _, _, request, where = REFUSED[reason]

    decision = decided(settle(**request), position(**at(reason, **where)))

    assert (decision.outcome, decision.reason) == ("settled", None)


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in combinations(REFUSED, 2) if pair not in IMPOSSIBLE],
)
def test_first_refusal_that_applies_is_given(first: str, second: str) -> None:
    """Of two faults the one earlier in the contract's list is named."""
    request = {**REFUSED[second][0], **REFUSED[first][0]}
    where = at(first, second, **{**REFUSED[second][1], **REFUSED[first][1]})

    verdict = decide(settle(**request), position(**where))

    assert reason_of(verdict) == first


@pytest.mark.parametrize("person_id", ["patient", "son"])
def test_refused_patient_costs_nobody_anything(person_id: str) -> None:
    """A declined patient's accounts stay as they are and nobody is considered."""
    request = settle(expense_type="fitness", credential={"type": "02", "person_id": person_id})

    decision = decided(request, position(current=50_000, wallet=50_000))

    assert (decision.outcome, decision.entries, decision.considered) == ("declined", (), ())


@pytest.mark.parametrize("expense", ["public_health", "fitness", "wellness"])
def test_expense_that_is_never_covered(expense: str) -> None:
    """Public health, fitness and wellness are never covered, even by the patient's own money."""
    decision = decided(settle(expense_type=expense), position(current=50_000))

    assert (decision.outcome, decision.reason) == ("declined", "expense_not_covered")


@pytest.mark.parametrize("expense", ["outpatient", "inpatient", "pharmacy", "resident_premium"])
def test_own_money_pays_for_every_expense_that_may_be_covered(expense: str) -> None:
    """What the region shares does not limit the patient's own account."""
    decision = decided(settle(expense_type=expense), position(current=50_000))

    assert (decision.outcome, decision.own_account_fen) == ("settled", 10_000)


@pytest.mark.parametrize("status", ["suspended", "ended"])
@pytest.mark.parametrize("insurance", ["employee", "resident"])
def test_patient_whose_enrolment_is_not_active(insurance: str, status: str) -> None:
    """Employee or resident: without an active enrolment nothing is paid."""
    decision = decided(settle(), position(insurance=insurance, status=status, current=50_000))

    assert (decision.outcome, decision.reason) == ("declined", "person_not_insured")


@pytest.mark.parametrize("credential_type", ["01", "02", "03"])
def test_any_kind_of_credential_of_the_patient_will_do(credential_type: str) -> None:
    """Code, ID card and social-security card are equally good, if they are the patient's."""
    own = settle(credential={"type": credential_type, "person_id": "patient"})
    relatives = settle(credential={"type": credential_type, "person_id": "payer"})

    assert decided(own, position(current=50_000)).outcome == "settled"
    assert decided(relatives, position(current=50_000)).reason == "credential_mismatch"


@pytest.mark.parametrize("kind", ["hospital", "pharmacy", "gateway", "tax_office", "agency"])
def test_which_kind_of_institution_may_send_what(kind: str) -> None:
    """Credit is the agency's; settle and quote are everybody else's; anybody may look up its own request."""
    where = position(kind=kind, current=50_000)
    said = {request.operation: reason_of(decide(request, where)) for request in (settle(), quote(), credit(), lookup())}

    care = "institution_not_allowed" if kind == "agency" else None
    money = None if kind == "agency" else "institution_not_allowed"
    assert said == {"settle": care, "quote": care, "credit": money, "lookup": None}


# ---- the sender ----


@pytest.mark.parametrize("request_", [settle(), quote(), credit(), lookup()], ids=lambda each: each.operation)
def test_sender_must_be_the_institutions_registered_user(request_: Any) -> None:
    """Under another institution's name nobody sends anything, whatever the operation."""
    verdict = decide(request_, position(user_id="other", authenticate_senders=True))

    assert verdict == Rejection(Reason("sender_mismatch"))


@pytest.mark.parametrize(
    "sender",
    [
        pytest.param({"user_id": None}, id="no user"),
        pytest.param({"user_id": "clinic", "amqp_user": None}, id="no registered user"),
        pytest.param({"user_id": None, "amqp_user": None}, id="neither"),
        pytest.param({"user_id": "Clinic"}, id="other spelling"),
        pytest.param({"user_id": "clinic", "registered": False}, id="institution unknown"),
    ],
)
def test_nobody_is_taken_for_the_registered_user(sender: dict[str, Any]) -> None:
    """Where senders are authenticated, nothing but the registered user itself is good enough."""
    verdict = decide(settle(), position(current=50_000, authenticate_senders=True, **sender))

    assert verdict == Rejection(Reason("sender_mismatch"))


def test_sender_mismatch_is_told_nothing_about_stored_requests() -> None:
    """A wrong sender gets no replay of somebody else's answer."""
    verdict = decide(settle(), position(user_id="other", stored=stored(settle())))

    assert verdict == Rejection(Reason("sender_mismatch"))


@pytest.mark.parametrize(
    ("where", "sender"),
    [
        ({"user_id": "other"}, "sender_mismatch"),
        ({"reply_to": "reply.other.1"}, "reply_queue_not_allowed"),
        ({}, None),
    ],
)
def test_an_odd_time_does_not_hide_a_stranger(where: dict[str, Any], sender: str | None) -> None:
    """It is the reason that is told, as the contract has it first; who sent it is known all the same."""
    said = {"user_id": "clinic", "authenticate_senders": True, **where}

    verdict = decide(settle(occurred_at=TOO_LATE), position(current=50_000, **said))

    assert isinstance(verdict, Rejection)
    assert (verdict.reason, verdict.sender) == (Reason.MALFORMED, Reason(sender) if sender else None)


@pytest.mark.parametrize(
    ("reply_to", "allowed"),
    [
        (None, True),
        ("reply.clinic.1", True),
        ("reply.clinic.", True),
        (REAL, True),
        (address("reply@7"), True),
        ("amq.rabbitmq.reply-to", False),
        ("amq.rabbitmq.reply-to.g1h2AA5yZXBseUA", False),
        (address("rabbit@7"), False),
        ("reply.clinic", False),
        ("reply.clinic2.1", False),
        ("reply.other.1", False),
        ("REPLY.clinic.1", False),
        (" reply.clinic.1", False),
        ("x.reply.clinic.1", False),
        ("gongji.settlement", False),
        ("amq.gen-1", False),
    ],
)
def test_reply_queue_must_be_the_senders(reply_to: str | None, allowed: bool) -> None:
    """An authenticated sender is answered on reply.<user>.* or by direct reply-to, nowhere else."""
    where = position(current=50_000, user_id="clinic", reply_to=reply_to, authenticate_senders=True)

    verdict = decide(settle(), where)

    assert reason_of(verdict) == (None if allowed else "reply_queue_not_allowed")


def test_reply_queue_is_free_where_senders_are_not_authenticated() -> None:
    """Without authentication there is no user whose queue it would have to be."""
    assert decided(settle(), position(current=50_000, reply_to="anything")).outcome == "settled"


# ---- other operations ----


@pytest.mark.parametrize("reason", [each for each in REJECTED if each != "institution_not_allowed"])
def test_credit_is_rejected_like_a_settle(reason: str) -> None:
    """Step 1 holds for every operation."""
    request, where, _, _ = REFUSED[reason]

    verdict = decide(credit(**request), position(**at(reason, **{"kind": "agency", **where})))

    assert isinstance(verdict, Rejection)
    assert verdict.reason == reason
