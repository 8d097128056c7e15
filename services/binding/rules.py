"""Who may bind whom, and what ends by itself. Pure: a proposal and a position go in, reasons come out, every one that applies.

Source: contract.md, "A refused binding"; domain.md, rules 1, 7, 10 and 11.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from services.binding.model import (
    Binding,
    BindingPosition,
    Caller,
    Fault,
    Institution,
    Person,
    Proposal,
    Refused,
    Transfer,
    TransferState,
)
from shared.domain.enrolment import EndCause, EnrolmentStatus, InstitutionKind, InstitutionStatus, Insurance
from shared.domain.policy import PolicyVersion, RegionPolicy
from shared.domain.reasons import Reason
from shared.domain.regions import connected, pooling_area_of
from shared.domain.relations import KINSHIP, Relation
from shared.domain.roles import Role


def refuse_institution(institution_id: str, holders: Sequence[str]) -> Refused | None:
    """Why an institution cannot be registered so. `holders`: the institutions that have the broker's user already."""
    others = ", ".join(holder for holder in holders if holder != institution_id)
    if not others:
        return None
    return Refused((Reason.AMQP_USER_TAKEN,), (Fault("amqp_user", f"is the user of {others}: name another one"),))


def refuse_binding(proposal: Proposal, position: BindingPosition) -> tuple[Reason, ...]:
    """Every reason against a binding, in the contract's order; none if it may be made."""
    return tuple(_reasons(proposal, position))


def _reasons(proposal: Proposal, position: BindingPosition) -> Iterator[Reason]:
    payer, beneficiary = position.payer, position.beneficiary
    if proposal.payer_id == proposal.beneficiary_id:
        yield Reason.SELF_BINDING
    if payer is None:
        yield Reason.PAYER_UNKNOWN
    if beneficiary is None:
        yield Reason.BENEFICIARY_UNKNOWN
    if payer and payer.insurance is not Insurance.EMPLOYEE:
        yield Reason.PAYER_NOT_EMPLOYEE
    if payer and payer.status is not EnrolmentStatus.ACTIVE:
        yield Reason.PAYER_NOT_ACTIVE
    if beneficiary and beneficiary.status is not EnrolmentStatus.ACTIVE:
        yield Reason.BENEFICIARY_NOT_INSURED
    if payer and proposal.relation not in position.payer_policy.policy.relations:
        yield Reason.RELATION_NOT_ALLOWED
    if payer and beneficiary and not _within_reach(proposal, position):
        yield Reason.REGION_NOT_CONNECTED
    yield from _limits(proposal, position)


def _within_reach(proposal: Proposal, position: BindingPosition) -> bool:
    payer, beneficiary = position.payer, position.beneficiary
    assert payer
    assert beneficiary
    if _across_provinces(position):
        return proposal.wallet
    return connected(
        payer.region_code,
        position.payer_policy.policy.scope,
        beneficiary.region_code,
        position.beneficiary_policy.policy.scope,
    )


def _limits(proposal: Proposal, position: BindingPosition) -> Iterator[Reason]:
    start = max(proposal.valid_from, position.today)
    of_payer = [each for each in position.of_payer if each.overlaps(start, proposal.valid_until)]
    of_beneficiary = [each for each in position.of_beneficiary if each.overlaps(start, proposal.valid_until)]
    others = [each for each in of_payer if each.beneficiary_id != proposal.beneficiary_id]
    policy = position.payer_policy.policy
    if len(others) < len(of_payer):
        yield Reason.ALREADY_BOUND
    if policy.members_max is not None and len(others) >= policy.members_max:
        yield Reason.MEMBER_LIMIT_REACHED
    if _relation_is_full(proposal.relation, others, policy):
        yield Reason.RELATION_LIMIT_REACHED
    payers_max = position.beneficiary_policy.policy.payers_max_per_beneficiary
    payers = {each.payer_id for each in of_beneficiary if each.pays_bills} - {proposal.payer_id}
    if payers_max is not None and len(payers) >= payers_max and not _across_provinces(position):
        yield Reason.PAYER_LIMIT_REACHED


def _across_provinces(position: BindingPosition) -> bool:
    """Such a binding is for the wallet alone: its giver is no payer of the beneficiary's bills."""
    payer, beneficiary = position.payer, position.beneficiary
    return payer is not None and beneficiary is not None and payer.province != beneficiary.province


def _relation_is_full(relation: Relation, others: list[Binding], policy: RegionPolicy) -> bool:
    """A limit may name a relation (father) or a group of them (children)."""
    group = KINSHIP[relation].group
    same_relation = sum(each.relation is relation for each in others)
    same_group = sum(KINSHIP[each.relation].group == group for each in others)
    limits = policy.members_max_by_relation
    return same_relation >= limits.get(relation, same_relation + 1) or same_group >= limits.get(group, same_group + 1)


def refuse_end(binding: Binding, end_date: date, policy: PolicyVersion) -> tuple[Reason, ...]:
    """Some regions refuse an end in a binding's first days; elsewhere one that has not begun is withdrawn."""
    in_force = max(end_date, binding.valid_from) - binding.valid_from
    if in_force.days < policy.policy.unbind_after_days:
        return (Reason.BOUND_TOO_RECENTLY,)
    return ()


def refuse_acceptance(transfer: Transfer, receiver: Person | None, now: datetime) -> tuple[Reason, ...]:
    """Why a pending transfer cannot be accepted any more, or not by somebody in this position."""
    if transfer.state is TransferState.RETURNED or now >= transfer.accept_by:
        return (Reason.TRANSFER_RETURNED,)
    if receiver and receiver.province != transfer.to_province:
        return (Reason.RECEIVER_MOVED,)
    if receiver is None or receiver.status is not EnrolmentStatus.ACTIVE:
        return (Reason.BENEFICIARY_NOT_INSURED,)
    if receiver.account_frozen:
        return (Reason.RECEIVER_ACCOUNT_FROZEN,)
    return ()


def why_payer_stops(before: Person, after: Person) -> EndCause | None:
    """Why a person's bindings as payer end with what the feed says; a suspension is temporary and ends none."""
    if after.insurance is not Insurance.EMPLOYEE or after.status is EnrolmentStatus.ENDED:
        return EndCause.PAYER_LEFT
    if pooling_area_of(before.region_code) != pooling_area_of(after.region_code):
        return EndCause.PAYER_MOVED
    return None


def why_beneficiary_stops(before: Person, after: Person) -> EndCause | None:
    """Why a person's bindings as beneficiary end; within a province each settlement judges where they are."""
    return EndCause.BENEFICIARY_MOVED if before.province != after.province else None


def refuse_reconciliation(institution: Institution | None, caller: Caller) -> tuple[Reason, ...]:
    """Why an institution has no day to compare. As over the broker; the operator may also look at one that is suspended."""
    if institution is None:
        return (Reason.INSTITUTION_UNKNOWN,)
    if institution.status is InstitutionStatus.SUSPENDED and caller.role is not Role.OPERATOR:
        return (Reason.INSTITUTION_SUSPENDED,)
    if institution.kind is InstitutionKind.AGENCY:
        return (Reason.INSTITUTION_NOT_ALLOWED,)
    return ()
