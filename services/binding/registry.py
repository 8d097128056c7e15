"""Persons, institutions and region policies in the registry; and what clerks and operators did there."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from services.binding.model import Act, Action, Caller, Institution, Person
from services.binding.resources import InstitutionIn
from shared.domain.enrolment import Enrolment, EnrolmentStatus, InstitutionKind, InstitutionStatus, Insurance
from shared.domain.ids import PersonKey
from shared.domain.policy import PolicyBook, RegionPolicy
from shared.domain.regions import province_of
from shared.domain.roles import Role
from shared.messages.signing import KEYS, keys_of
from shared.postgres.queries import load_queries
from shared.telemetry.logging import redact

SQL = load_queries(__package__, "registry.sql")
# Members act for themselves, and the feed's word is in the registry as it was said.
RECORDED = (Role.CLERK, Role.OPERATOR)


async def person(connection: Any, person_id: str) -> Person | None:
    row = await connection.fetchrow(SQL["person"], person_id)
    return _person(row) if row else None


async def enrolments(connection: Any, people: Iterable[PersonKey]) -> dict[PersonKey, Enrolment]:
    """How these people are insured, without those who are not, or no longer, in that province."""
    keys = sorted(set(people))
    rows = await connection.fetch(SQL["enrolments"], [k.province for k in keys], [k.person_id for k in keys])
    return {
        PersonKey(row["province"], row["person_id"]): Enrolment(
            row["region_code"], Insurance(row["insurance"]), EnrolmentStatus(row["status"]), row["account_frozen"]
        )
        for row in rows
    }


async def lock_persons(connection: Any, person_ids: Iterable[str]) -> dict[str, Person]:
    """The known ones of these people; nobody binds them, and no feed speaks of them, until the transaction is over."""
    asked = sorted(set(person_ids))
    # A statement of its own: the next one sees what those before us have committed.
    await connection.execute(SQL["lock_person_ids"], asked)
    rows = await connection.fetch(SQL["lock_persons"], asked)
    return {row["person_id"]: _person(row) for row in rows}


async def find_persons(connection: Any, province: int, indexes: Iterable[bytes]) -> list[Person]:
    """Those insured in a province whose ID number has one of these indexes, at most 200."""
    return [_person(row) for row in await connection.fetch(SQL["find_persons"], province, list(indexes))]


async def sealing_key(connection: Any) -> int:
    """The key that seals, which stays so until the transaction is over."""
    # A statement of its own: the next one sees what a change before us has committed.
    await connection.execute(SQL["share_sealing_keys"])
    key_id: int = await connection.fetchval(SQL["sealing_key"])
    return key_id


async def put_person(connection: Any, person: Person, id_number_index: bytes, now: datetime) -> set[int]:
    """Writes what the feed says of a locked person; returns the provinces in which this may change who can pay."""
    left = await connection.fetchrow(SQL["move_away"], person.person_id, person.region_code, now)
    await connection.execute(
        SQL["put_person"],
        person.province,
        person.person_id,
        person.region_code,
        person.insurance,
        person.status,
        person.name_sealed,
        person.id_number_sealed,
        id_number_index,
        now,
        left["account_frozen"] if left else None,
    )
    return {person.province} | ({left["province"]} if left else set())


async def freeze(connection: Any, person_id: str, *, frozen: bool, now: datetime) -> int | None:
    """Freezes or unfreezes; returns the province, or None where nobody has this id."""
    province: int | None = await connection.fetchval(SQL["freeze"], person_id, frozen, now)
    return province


async def institution(connection: Any, institution_id: str) -> Institution | None:
    row = await connection.fetchrow(SQL["institution"], institution_id)
    return _institution(row) if row else None


async def lock_amqp_user(connection: Any, amqp_user: str) -> list[str]:
    """The institutions that this user of the broker is registered for; whoever else asks waits until the transaction is over."""
    # A statement of its own: the next one sees what those before us have committed.
    await connection.execute(SQL["lock_amqp_user"], amqp_user)
    return [row["institution_id"] for row in await connection.fetch(SQL["institutions_of"], amqp_user)]


async def put_institution(connection: Any, institution_id: str, said: InstitutionIn, now: datetime) -> Institution:
    """Writes what an operator says of an institution, one that is known or one whose name is said."""
    row = await connection.fetchrow(
        SQL["put_institution"],
        institution_id,
        said.name,
        said.kind,
        said.region_code,
        said.amqp_user,
        said.status,
        None if said.signing_keys is None else KEYS.dump_json(said.signing_keys).decode(),
        now,
    )
    return _institution(row)


async def policies(connection: Any, provinces: Iterable[int]) -> PolicyBook:
    """The shipped policies under those put in these provinces."""
    rows = await connection.fetch(SQL["policies"], sorted(set(provinces)))
    return PolicyBook.of_rows(rows)


async def put_policy(connection: Any, code: str, policy: RegionPolicy, by: str, now: datetime) -> int:
    """Adds a version under a code and returns its number."""
    province = province_of(code)
    await connection.execute(SQL["next_policy_epoch"], province)
    version: int = await connection.fetchval(
        SQL["put_policy"], province, code, policy.effective_from, policy.model_dump_json(), now, by
    )
    return version


async def record_act(
    connection: Any,
    caller: Caller,
    action: Action,
    person_ids: Iterable[str],
    now: datetime,
    thing_id: str | None = None,
) -> None:
    """Writes down that a clerk or an operator was let through, and for whom; an ID number given for a person id is not."""
    if caller.role in RECORDED:
        about = [redact(person_id) for person_id in person_ids]
        await connection.execute(SQL["record_act"], now, caller.subject, caller.role, action, about, thing_id)


async def acts_about(connection: Any, person_id: str, *, before: int, limit: int) -> list[Act]:
    """A page of what was done about a person, newest first."""
    rows = await connection.fetch(SQL["acts_about"], person_id, before, limit)
    return [Act(row["act_id"], row["at"], Role(row["role"]), Action(row["action"])) for row in rows]


def _person(row: Any) -> Person:
    return Person(
        province=row["province"],
        person_id=row["person_id"],
        region_code=row["region_code"],
        insurance=Insurance(row["insurance"]),
        status=EnrolmentStatus(row["status"]),
        account_frozen=row["account_frozen"],
        name_sealed=row["name_sealed"],
        id_number_sealed=row["id_number_sealed"],
    )


def _institution(row: Any) -> Institution:
    return Institution(
        institution_id=row["institution_id"],
        name=row["name"],
        kind=InstitutionKind(row["kind"]),
        region_code=row["region_code"],
        amqp_user=row["amqp_user"],
        status=InstitutionStatus(row["status"]),
        signing_keys=keys_of(row["signing_keys"]),
    )
