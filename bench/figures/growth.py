"""What a settlement takes when the books are a nation's: databases of several sizes on one server, in turn in each round."""

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from bench import filling
from bench.draining import Load, checkpoint, drain, settle_in, workers
from bench.load import LoadFailed
from bench.population import Population
from bench.proof import Broken, prove
from bench.report import Compared, Measures, Result, at_most, result
from bench.rounds import Tell, conditions, each_round, in_turn
from bench.scale import LOG_MAX_GIB, WARM_UP_PART, Scale
from bench.sessions import session
from bench.stage import Stage, settings_of
from deploy.devstack.stack import DATABASE
from shared.domain.ids import earliest_id
from shared.domain.times import shanghai_date, shanghai_moment
from shared.postgres.queries import load_queries

SQL = load_queries("bench.figures", "growth.sql")

NAME = "growth"
WORKERS = 2
SLOWER_MAX = 1.25
# Five entries and three decisions an account, with the families' people, bindings and all indexes: as filled in by PostgreSQL 18.
BYTES_AN_ACCOUNT = 5_500
# Beside the rows: the log at its longest, and what indexes are sorted in.
DISK_LEFT_BYTES = (LOG_MAX_GIB + 5) * 2**30
# An audit reads and sorts everything several times over: beyond this it takes longer than all that is measured.
PROVEN_WHOLE_ACCOUNTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """A database with its people; `since` is an id before everything that is measured there."""

    stage: Stage
    people: Population
    since: UUID
    size_gb: float

    @property
    def subject(self) -> str:
        return subject(self.people)


async def measure(stage: Stage, scale: Scale, tell: Tell) -> Result:
    """The scale's own population, then each that has grown; every measurement has new workers, warmed up."""
    _look_for_room(stage, scale)
    async with AsyncExitStack() as databases:
        grown = [await databases.enter_async_context(_grown(stage, people, tell)) for people in scale.grown]
        places = [await _ready(stage, scale.population), *grown]
        # All settle in after one and the same.
        await checkpoint(stage)
        places = [await _settled_in(place, scale, tell) for place in places]

        async def one(number: int) -> dict[str, Measures]:
            return await in_turn(number, {place.subject: partial(_drained, place, scale, number) for place in places})

        rounds = await each_round(stage, scale, one, tell)
        requests = scale.rounds * (scale.backlog + scale.backlog // WARM_UP_PART)
        for place in places:
            await _prove_what_was_settled(place, requests, tell)
        for place in grown:
            if _is_proven_whole(place, asked=scale.proven_whole):
                await prove(place.stage.database_url, tell)
    own = {
        "grown": [place.people.facts() for place in grown],
        "proven": [
            "whole" if _is_proven_whole(place, asked=scale.proven_whole) else "whatever was settled" for place in places
        ],
        "backlog": scale.backlog,
    }
    told = conditions(scale.population, {f"settlement × {WORKERS}": settings_of("settlement-1", of=WORKERS)}, **own)
    return result(NAME, told, rounds, compared([place.people for place in places]))


def subject(people: Population) -> str:
    return f"{people.accounts:,} accounts"


def compared(populations: Sequence[Population]) -> list[Compared]:
    """Each that has grown beside the first."""
    first, *others = map(subject, populations)
    return [Compared("settlement_ms", other, first, at_most(SLOWER_MAX)) for other in others]


def _look_for_room(stage: Stage, scale: Scale) -> None:
    """All of them are there at once, beside one log. Raises LoadFailed where this machine's disk does not hold them."""
    if DATABASE in os.environ:
        # A server that is given keeps its data elsewhere.
        return
    needed = sum(map(_room, scale.grown)) + DISK_LEFT_BYTES
    free = shutil.disk_usage(stage.directory).free
    if free < needed:
        accounts = " and ".join(f"{people.accounts:,}" for people in scale.grown)
        raise LoadFailed(f"{accounts} accounts take {needed / 1e9:.0f} GB of free disk; here are {free / 1e9:.0f}")


def _room(people: Population) -> int:
    return people.accounts * BYTES_AN_ACCOUNT


@asynccontextmanager
async def _grown(stage: Stage, people: Population, tell: Tell) -> AsyncIterator[Place]:
    """A further database of the same server, filled; gone afterwards."""
    name = f"gongji_bench_{people.accounts}"
    async with session(stage.database_url) as connection:
        await connection.execute(f"CREATE DATABASE {name}")
        try:
            place = stage.at(name)
            await place.prepare()
            tell(
                f"filling in {people.accounts:,} accounts, {people.entries:,} entries: about {_room(people) / 1e9:.1f} GB"
            )
            await filling.fill(place.database_url, people, tell)
            yield await _ready(place, people)
        finally:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def _ready(stage: Stage, people: Population) -> Place:
    """What settlements look at is read once, whatever its size; how much fits into memory is the machine's affair."""
    now = datetime.now(UTC)
    this_month = earliest_id(shanghai_moment(shanghai_date(now).replace(day=1)))
    async with session(stage.database_url) as connection:
        for setting in ("enable_sort = off", "enable_bitmapscan = off"):
            await connection.execute(f"SET {setting}")
        for query, sql in SQL.items():
            if query.startswith("read_"):
                await connection.fetchval(sql, *([this_month] if "$1" in sql else []))
    size_gb = await filling.size_bytes(stage.database_url) / 1e9
    return Place(stage, people, earliest_id(now), round(size_gb, 2))


async def _settled_in(place: Place, scale: Scale, tell: Tell) -> Place:
    """The same, where nearly every page has been written since the checkpoint."""
    settlements = scale.settling_in_of(place.people)
    tell(f"{place.subject}: settling in, {settlements:,} settlements")
    await settle_in(place.stage, place.people, settlements, "after-a-checkpoint")
    async with session(place.stage.database_url) as connection:
        await connection.execute(SQL["vacuum"])
    return replace(place, since=earliest_id(datetime.now(UTC)))


async def _prove_what_was_settled(place: Place, requests: int, tell: Tell) -> None:
    """Raises Broken where a request has not exactly one decision, or whoever was settled for has another balance than entries."""
    async with session(place.stage.database_url) as connection:
        decided = await connection.fetchval(SQL["decided"], place.since)
        disagreeing = await connection.fetch(SQL["balances_that_disagree"], place.since)
    if decided != requests or disagreeing:
        raise Broken(f"{place.subject}: {decided} of {requests} decided; balances disagree: {list(disagreeing)}")
    tell(
        f"{place.subject}: {decided:,} decisions, and the balances of everybody concerned are the sums of their entries"
    )


def _is_proven_whole(place: Place, *, asked: bool) -> bool:
    return asked or place.people.accounts <= PROVEN_WHOLE_ACCOUNTS


async def _drained(place: Place, scale: Scale, number: int) -> Measures:
    waiting = Load(place.people, f"growth-{number}", scale.backlog)
    drained = await drain(place.stage, partial(workers, processes=WORKERS), waiting)
    return {
        "accounts": place.people.accounts,
        "size_gb": place.size_gb,
        "settlement_ms": round(1_000 * drained.drained_s / drained.settlements, 4),
        **drained.measures,
    }
