"""What is known of requests before anything is locked: what was decided, who sends them, whom they name and who may pay for those."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from services.settlement import decisions
from services.settlement.incoming import Incoming, RequestName
from services.settlement.model import Facts, Institution
from shared.domain.enrolment import EndCause, InstitutionKind, InstitutionStatus, enrolment_of
from shared.domain.ids import PersonKey
from shared.domain.mutual_aid import Binding
from shared.domain.policy import PolicyBook
from shared.messages.signing import keys_of
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "known.sql")

# A request's name, and somebody whom it names.
Asked = tuple[RequestName, PersonKey | None]


def asked(batch: Iterable[Incoming]) -> list[Asked]:
    """Every request of a batch and every original, and with the first that names them each person once."""
    names: dict[RequestName, None] = {}
    people: dict[PersonKey, RequestName] = {}
    for incoming in batch:
        names[incoming.name] = None
        if incoming.original:
            names[incoming.original] = None
        for person in incoming.people:
            people.setdefault(person, incoming.name)
    for name in people.values():
        names.pop(name, None)
    return [*((name, person) for person, name in people.items()), *((name, None) for name in names)]


async def read(connection: Any, asked: Sequence[Asked], today: date, facts: Facts) -> int:
    """Adds to `facts` what was decided under each name, who its institution is, and each person's bindings valid or closed on
    the Shanghai date `today`, with their payers. Returns the policies' epoch.
    """
    rows = await connection.fetch(
        SQL["known"],
        [name.province for name, _ in asked],
        [name.institution_id for name, _ in asked],
        [name.request_id for name, _ in asked],
        [person and person.province for _, person in asked],
        [person and person.person_id for _, person in asked],
        today,
    )
    epoch = 0
    stored: dict[RequestName, UUID] = {}
    bindings: dict[PersonKey, list[Binding]] = defaultdict(list)
    for row in rows:
        place, decision_id, cancelled, kind, status, amqp_user, signing_keys, epoch, linked, awaiting, *insured = row
        name, person = asked[place - 1]
        if decision_id is not None:
            stored[name] = decision_id
        if cancelled:
            facts.cancelled.add(name)
        if kind is not None and name.institution_id not in facts.institutions:
            facts.institutions[name.institution_id] = Institution(
                InstitutionKind(kind), status == InstitutionStatus.SUSPENDED, amqp_user, keys_of(signing_keys)
            )
        if linked:
            facts.kinship_linked.add(person)
        if awaiting:
            facts.awaiting.add(person)
        if person is not None:
            _insured(person, insured, facts, bindings)
    facts.bindings.update((person, tuple(found)) for person, found in bindings.items())
    if stored:
        facts.stored.update(await decisions.decided(connection, stored))
    return epoch


async def read_under(connection: Any, name: RequestName, facts: Facts) -> None:
    """Adds what was decided under one name, and who its institution is."""
    # Nobody is named, so no day matters.
    await read(connection, [(name, None)], date.min, facts)


def _insured(person: PersonKey, row: Sequence[Any], facts: Facts, bindings: dict[PersonKey, list[Binding]]) -> None:
    """How somebody is insured, and a binding with how its payer is."""
    region_code, insurance, status, account_frozen, binding_id, payer_province, payer_id, *rest = row
    if region_code is not None:
        facts.enrolments[person] = enrolment_of(region_code, insurance, status, account_frozen)
    if binding_id is None:
        return
    bound_at, annual_limit_fen, wallet, auto_accept, closed_cause, *payer_enrolment = rest
    payer = PersonKey(payer_province, payer_id)
    closed = EndCause(closed_cause) if closed_cause else None
    bindings[person].append(
        Binding(binding_id, payer, bound_at, annual_limit_fen, wallet=wallet, auto_accept=auto_accept, closed=closed)
    )
    if payer_enrolment[0] is not None:
        facts.enrolments[payer] = enrolment_of(*payer_enrolment)


async def policies(connection: Any) -> PolicyBook:
    """The shipped policies under those that operators have put."""
    rows = await connection.fetch(SQL["policies"])
    return PolicyBook.of_rows(rows)
