"""Who pays for a relative, and why nobody does: guards in the contract's order, then the richest of who is left.

The settlement worker decides by this and the binding service explains by it, so there is no second copy of the rule.
Pure: no I/O, no clock. Source: contract.md, "How a settlement is decided", steps 2 to 5; domain.md, rules 1-11.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from shared.domain.accounts import Account
from shared.domain.enrolment import EndCause, Enrolment, EnrolmentStatus
from shared.domain.ids import PersonKey
from shared.domain.policy import NEVER_COVERED, ExpenseType, Funds, PolicyBook, PolicyVersion, RegionPolicy
from shared.domain.reasons import Reason
from shared.domain.regions import connected, whole_province
from shared.domain.values import dataclass

Subject = TypeVar("Subject")


@dataclass(frozen=True, slots=True)
class Bill:
    """What is to be paid; `shortfall_fen` is what the patient's own money leaves to relatives."""

    expense_type: ExpenseType
    own_credential: bool = True
    shortfall_fen: int = 0


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding of the patient that is valid today, or that ended by itself today: then `closed` says why."""

    binding_id: UUID
    payer: PersonKey
    bound_at: datetime
    annual_limit_fen: int | None
    wallet: bool = False
    auto_accept: bool = False
    closed: EndCause | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A binding with all that decides whether and how much its payer can pay."""

    binding: Binding
    payer: Enrolment | None
    account: Account
    policy: PolicyVersion
    connected: bool
    used_fen: int = 0

    @property
    def usable_fen(self) -> int:
        return usable(self.account, self.policy.policy)

    @property
    def limit_left_fen(self) -> int | None:
        """What this binding may still use in this calendar year; None where neither binding nor policy limits it."""
        own_fen, everybodys_fen = self.binding.annual_limit_fen, self.policy.policy.annual_limit_fen
        if own_fen is None and everybodys_fen is None:
            return None
        limit_fen = min(limit for limit in (own_fen, everybodys_fen) if limit is not None)
        return max(limit_fen - self.used_fen, 0)


@dataclass(frozen=True, slots=True)
class Considered:
    """A candidate as the rule saw it: usable balance, and why it was out (None: it was ranked)."""

    candidate: Candidate
    usable_fen: int
    limit_left_fen: int | None
    out: Reason | None

    @property
    def payer_id(self) -> str:
        return self.candidate.binding.payer.person_id


@dataclass(frozen=True, slots=True)
class Choice:
    """The one relative who pays the whole shortfall, or why there is none; and everybody who was considered."""

    payer: Candidate | None = None
    reason: Reason | None = None
    considered: tuple[Considered, ...] = ()


@dataclass(frozen=True, slots=True)
class Guard(Generic[Subject]):
    """A condition that must hold of somebody for a bill; `reason` is why not."""

    reason: Reason
    holds: Callable[[Subject, Bill], bool]


def first_broken(guards: Sequence[Guard[Subject]], subject: Subject, bill: Bill) -> Reason | None:
    for guard in guards:
        if not guard.holds(subject, bill):
            return guard.reason
    return None


# ---- the patient ----

# None is somebody whom the registry does not know.
PATIENT_GUARDS: tuple[Guard[Enrolment | None], ...] = (
    Guard(Reason.PERSON_UNKNOWN, lambda patient, _: patient is not None),
    Guard(Reason.CREDENTIAL_MISMATCH, lambda _, bill: bill.own_credential),
    Guard(
        Reason.PERSON_NOT_INSURED,
        lambda patient, _: patient is not None and patient.status is EnrolmentStatus.ACTIVE,
    ),
    Guard(Reason.EXPENSE_NOT_COVERED, lambda _, bill: bill.expense_type not in NEVER_COVERED),
)


def own_money(
    patient: Enrolment | None, account: Account, amount_fen: int, *, use_own_account: bool = True
) -> tuple[int, int]:
    """What the patient's personal account and then the patient's wallet pay of an amount, in fen."""
    may_use = use_own_account and patient is not None and patient.is_active_employee and not patient.account_frozen
    own_fen = min(account.personal_fen, amount_fen) if may_use else 0
    return own_fen, min(account.wallet_fen, amount_fen - own_fen)


# ---- the relatives ----

# From farthest from success to nearest: where all are out, the nearest one is the answer's reason.
# A binding that ended by itself today never passes the first two, whatever the registry says by now.
CANDIDATE_GUARDS: tuple[Guard[Candidate], ...] = (
    Guard(
        Reason.REGION_NOT_CONNECTED,
        lambda candidate, _: candidate.connected and candidate.binding.closed in (None, EndCause.PAYER_LEFT),
    ),
    Guard(
        Reason.PAYER_NOT_ELIGIBLE,
        lambda candidate, _: (
            candidate.binding.closed is None and candidate.payer is not None and candidate.payer.is_active_employee
        ),
    ),
    Guard(
        Reason.PAYER_ACCOUNT_FROZEN,
        lambda candidate, _: candidate.payer is not None and not candidate.payer.account_frozen,
    ),
    Guard(
        Reason.EXPENSE_NOT_SHARED,
        lambda candidate, bill: bill.expense_type in candidate.policy.policy.shared_expense_types,
    ),
    Guard(
        Reason.AUTHORISED_LIMIT_EXCEEDED,
        lambda candidate, bill: candidate.limit_left_fen is None or candidate.limit_left_fen >= bill.shortfall_fen,
    ),
)
CANDIDATE_REASONS = tuple(guard.reason for guard in CANDIDATE_GUARDS)

# Asked of the richest alone: where one is broken nobody pays, however much the second richest has.
RICHEST_GUARDS: tuple[Guard[Considered], ...] = (
    Guard(Reason.PAYER_BALANCE_ZERO, lambda seen, _: seen.usable_fen > 0),
    Guard(Reason.RICHEST_PAYER_INSUFFICIENT, lambda seen, bill: seen.usable_fen >= bill.shortfall_fen),
)


def candidate_of(
    binding: Binding,
    payer: Enrolment | None,
    patient_key: PersonKey,
    patient: Enrolment | None,
    book: PolicyBook,
    today: date,
    *,
    account: Account,
    used_fen: int,
) -> Candidate:
    """A binding seen under the policies of a Shanghai date."""
    # A payer who is insured nowhere any more shares under the policy of the province that the binding was made in.
    region = payer.region_code if payer else whole_province(binding.payer.province)
    policy = book.on(region, today)
    theirs = book.on(patient.region_code, today) if patient else policy
    within_reach = patient is not None and connected(
        region, policy.policy.scope, patient.region_code, theirs.policy.scope
    )
    # A payer who is gone is not out of reach: what is wrong is that they can no longer pay.
    gone = payer is None or binding.closed is EndCause.PAYER_LEFT
    return Candidate(
        binding=binding,
        payer=payer,
        account=account,
        policy=policy,
        connected=within_reach or (gone and binding.payer.province == patient_key.province),
        used_fen=used_fen,
    )


def choose(candidates: Sequence[Candidate], bill: Bill, *, kinship_linked: bool) -> Choice:
    """The richest relative if they can pay the whole shortfall; never two payers, never the second richest."""
    if not candidates:
        return Choice(reason=Reason.KINSHIP_ACCOUNT_ONLY if kinship_linked else Reason.NO_BINDING)

    considered = tuple([consider(candidate, bill) for candidate in candidates])
    ranked = [seen for seen in considered if seen.out is None]
    if not ranked:
        nearest = max((seen.out for seen in considered if seen.out), key=CANDIDATE_REASONS.index)
        return Choice(reason=nearest, considered=considered)

    richest = min(ranked, key=rank)
    if reason := first_broken(RICHEST_GUARDS, richest, bill):
        return Choice(reason=reason, considered=considered)
    return Choice(payer=richest.candidate, considered=considered)


def rank(seen: Considered) -> tuple[int, datetime, UUID]:
    """Most usable balance first; ties: the binding made earliest, then the smallest binding id."""
    binding = seen.candidate.binding
    return -seen.usable_fen, binding.bound_at, binding.binding_id


# What a record leaves out of a candidate.
AS_WITH_MOST = {
    "out": None,
    "limit_left_fen": None,
    "annual_limit_fen": None,
    "used_fen": 0,
    "connected": True,
    "closed": None,
}


def ranked(considered: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Considered candidates, whole again, in the order of the rule: those in the ranking first, the richest at the top."""
    return sorted(
        ({**AS_WITH_MOST, **seen} for seen in considered),
        key=lambda seen: (seen["out"] is not None, -seen["usable_fen"], seen["bound_at"], seen["binding_id"]),
    )


def consider(candidate: Candidate, bill: Bill) -> Considered:
    out = first_broken(CANDIDATE_GUARDS, candidate, bill)
    return Considered(candidate, candidate.usable_fen, candidate.limit_left_fen, out)


def usable(account: Account, policy: RegionPolicy) -> int:
    """The funds that the payer's region lets be shared, less what it must keep, never below 0."""
    shared_fen = account.prior_years_fen if policy.funds is Funds.PRIOR_YEARS else account.personal_fen
    return max(shared_fen - policy.keep_fen, 0)
