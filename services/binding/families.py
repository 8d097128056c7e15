"""A family as a settlement would find it: enrolments, bindings, balances, policies."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.binding import bindings, ledger, registry
from services.binding.model import Family, Question
from shared.domain import mutual_aid
from shared.domain.accounts import EMPTY
from shared.domain.mutual_aid import Candidate, candidate_of
from shared.domain.times import shanghai_date

NEW = UUID(int=0)


async def read(connection: Any, question: Question, now: datetime) -> Family:
    """Everything that a diagnosis is made from, as the registry and the ledger know it in one snapshot."""
    today = shanghai_date(now)
    beneficiary = await registry.person(connection, question.beneficiary_id)
    if beneficiary is None:
        return Family(today)
    payer = await registry.person(connection, question.payer_id) if question.payer_id else None
    known = await bindings.of_beneficiary(connection, beneficiary, question.payer_id, today)
    considered = [each for each in known if each.is_considered_on(today)]
    keys = {beneficiary.key, *(each.payer_key for each in considered)} | ({payer.key} if payer else set())
    enrolments = await registry.enrolments(connection, keys)
    accounts = await ledger.accounts(connection, keys, now)
    used_fen = await ledger.used_this_year(connection, considered, now)
    book = await registry.policies(connection, {key.province for key in keys})

    def candidate(binding: mutual_aid.Binding) -> Candidate:
        return candidate_of(
            binding,
            enrolments.get(binding.payer),
            beneficiary.key,
            beneficiary.enrolment,
            book,
            today,
            account=accounts.get(binding.payer, EMPTY),
            used_fen=used_fen.get(binding.binding_id, 0),
        )

    has_bound = any(each.payer_id == question.payer_id for each in considered)
    return Family(
        today=today,
        beneficiary=beneficiary.enrolment,
        account=accounts.get(beneficiary.key, EMPTY),
        candidates=tuple(candidate(each.authority) for each in considered),
        kinship_holders=await bindings.holders(connection, beneficiary),
        unbound=candidate(mutual_aid.Binding(NEW, payer.key, now, None)) if payer and not has_bound else None,
        bindings=tuple(each for each in known if question.payer_id in (None, each.payer_id)),
    )
