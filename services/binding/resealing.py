"""Another key: made the active one, everybody sealed anew under it, the old one retired. Done by `gongji keys`.

Which key is active is a row of the registry. Whoever seals reads it under a lock that a change of it waits for, so
nothing is sealed with a key after its turn is over, on no machine. What is sealed names its key, and that is all the state
that there is: interrupted at any point, it is run again and goes on with those who are left.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.binding import registry
from services.binding.sealing import Sealer, Unreadable, key_of
from shared.domain.ids import PersonKey
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "resealing.sql")
ROLE = "gongji_keys"
# People in one transaction: short enough that whoever waits for one of them does not notice.
PEOPLE_MAX = 500
# Somebody else may hold a person for a moment.
ROUNDS_MAX = 20
BETWEEN_ROUNDS_S = 0.5
BEFORE_EVERYBODY = PersonKey(0, "")


class KeyRefused(Exception):
    """The key cannot be activated or retired; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class KnownKey:
    """What the registry knows of a key."""

    key_id: int
    active: bool
    activated_at: datetime | None
    retired_at: datetime | None

    @property
    def state(self) -> str:
        """Active, retired, or else one that opens what it once sealed."""
        return "active" if self.active else "retired" if self.retired_at else "opens"


@dataclass(slots=True)
class Progress:
    """Of everybody seen so far: how many were sealed anew, who could not be opened and why, and who is held by somebody else."""

    seen: int = 0
    resealed: int = 0
    unreadable: dict[PersonKey, str] = field(default_factory=dict)
    held: list[PersonKey] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not self.unreadable and not self.held


async def known_keys(connection: Any) -> dict[int, KnownKey]:
    return {row["key_id"]: KnownKey(**row) for row in await connection.fetch(SQL["keys"])}


async def sealed_people(connection: Any) -> dict[int | None, int]:
    """How many people have something sealed with each key; under None with none that can be told. Reads everybody."""
    async with connection.transaction(readonly=True):
        await connection.execute("SET LOCAL statement_timeout = 0")
        return {row["key_id"]: row["people"] for row in await connection.fetch(SQL["sealed_people"])}


async def activate(connection: Any, key_id: int, now: datetime) -> None:
    """From now on everybody is sealed with this key; it must be in every service's ring. Raises KeyRefused."""
    async with connection.transaction():
        await connection.execute(SQL["lock_keys"])
        await connection.execute(SQL["deactivate"])
        if await connection.fetchval(SQL["activate"], key_id, now) is None:
            raise KeyRefused(f"key {key_id} was retired and is not used again: make another with `gongji keys new`")


async def retire(connection: Any, key_id: int, now: datetime) -> None:
    """Nothing is sealed with this key, and nothing ever will be. Raises KeyRefused."""
    known = (await known_keys(connection)).get(key_id)
    if known is not None and known.active:
        raise KeyRefused(
            f"key {key_id} is the active one: make another with `gongji keys new`, then `gongji keys rotate`"
        )
    left = (await sealed_people(connection)).get(key_id, 0)
    if left:
        raise KeyRefused(f"{left} people are still sealed with key {key_id}: run `gongji keys rotate`")
    async with connection.transaction():
        await connection.execute(SQL["lock_keys"])
        before = known.activated_at if known else None
        if await connection.fetchval(SQL["retire"], key_id, now, before) is None:
            raise KeyRefused(f"key {key_id} was activated just now")


async def rotate(connection: Any, sealer: Sealer, people_max: int = PEOPLE_MAX) -> AsyncGenerator[Progress, None]:
    """Seals everybody anew under the active key, a bounded transaction at a time; yields after each how far it is.

    What others write meanwhile is under the active key already. Where another key becomes the active one, it begins anew.
    """
    progress = Progress()
    while True:
        active, last = await _active(connection), BEFORE_EVERYBODY
        progress = Progress(resealed=progress.resealed)
        while page := await connection.fetch(SQL["people"], *last, people_max):
            await _reseal(connection, sealer, [_person(row) for row in page if not _is_under(active, row)], progress)
            last = _person(page[-1])
            progress.seen += len(page)
            yield progress
        for _ in range(ROUNDS_MAX):
            if not progress.held:
                break
            await asyncio.sleep(BETWEEN_ROUNDS_S)
            again, progress.held = progress.held, []
            for start in range(0, len(again), people_max):
                await _reseal(connection, sealer, again[start : start + people_max], progress)
            yield progress
        if await _active(connection) == active:
            return


async def _reseal(connection: Any, sealer: Sealer, people: Sequence[PersonKey], progress: Progress) -> None:
    """Those of these people who are not sealed with the active key, and whom nobody holds."""
    if not people:
        return
    anew = []
    async with connection.transaction():
        active = await registry.sealing_key(connection)
        # What was read before may have been written anew since; what is locked now stays.
        locked = {_person(row): row for row in await connection.fetch(SQL["lock_people"], *_columns(people))}
        for person, row in locked.items():
            if _is_under(active, row):
                continue
            try:
                anew.append((*person, *_sealed_anew(sealer, person.person_id, row, active)))
            except Unreadable as error:
                progress.unreadable[person] = str(error)
        if anew:
            await connection.execute(SQL["reseal"], *map(list, zip(*anew, strict=True)))
    progress.held += [person for person in people if person not in locked]
    progress.resealed += len(anew)


async def _active(connection: Any) -> int:
    return next(key.key_id for key in (await known_keys(connection)).values() if key.active)


def _person(row: Mapping[str, Any]) -> PersonKey:
    return PersonKey(row["province"], row["person_id"])


def _is_under(key_id: int, row: Mapping[str, Any]) -> bool:
    return key_of(row["name_sealed"]) == key_of(row["id_number_sealed"]) == key_id


def _sealed_anew(sealer: Sealer, person_id: str, row: Mapping[str, Any], key_id: int) -> tuple[bytes, bytes, bytes]:
    sealed = sealer.seal(
        sealer.open(row["name_sealed"], person_id=person_id, field="name"),
        sealer.open(row["id_number_sealed"], person_id=person_id, field="id_number"),
        person_id=person_id,
        key_id=key_id,
    )
    return sealed.name, sealed.id_number, sealed.id_number_index


def _columns(people: Sequence[PersonKey]) -> tuple[list[int], list[str]]:
    return [each.province for each in people], [each.person_id for each in people]
