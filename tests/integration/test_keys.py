"""Another key: made, everybody sealed anew beside a running service, the old one retired. Whatever happens, everybody is found."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

from services.binding import registry, resealing
from services.binding.keyring import RingFile, RingKey
from services.binding.resealing import KeyRefused, Progress, activate, rotate, sealed_people
from services.binding.sealing import Sealer
from shared.domain.roles import Role
from shared.domain.times import shanghai_date, system_clock
from shared.postgres.pool import connect
from tests.conftest import Database
from tests.support.world import World, until

GONGJI = Path(sys.executable).with_name("gongji")
Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture
def ring(keys: dict[str, Path], tmp_path: Path) -> RingFile:
    """A ring of this test's own."""
    return RingFile(Path(shutil.copy(keys["GONGJI_KEY_RING_FILE"], tmp_path / "key_ring")))


@pytest.fixture
async def world(database: Database, amqp_url: str, keys: dict[str, Path], ring: RingFile) -> AsyncIterator[World]:
    async with World.build(database.url, amqp_url, {**keys, "GONGJI_KEY_RING_FILE": ring.file}) as built:
        yield built


@pytest.fixture
async def keeper(database: Database) -> AsyncIterator[Session]:
    """A session of whoever keeps the keys."""
    session = await connect(database.url, role=resealing.ROLE, name="tests")
    yield session
    await session.close()


def id_number(number: int) -> str:
    return f"13010219900307{number:04d}"


async def put(world: World, *numbers: int, name: str = "张三丰") -> None:
    for number in numbers:
        await world.person(f"P{number:04d}", name=name, id_number=id_number(number))


async def fill(world: World, ring: RingFile, people: int) -> None:
    """Many people at once, sealed as the service seals them."""
    sealer = Sealer(ring.current)
    rows = []
    for number in range(people):
        sealed = sealer.seal("张三丰", id_number(number), person_id=f"P{number:04d}", key_id=1)
        rows.append((f"P{number:04d}", sealed.name, sealed.id_number, sealed.id_number_index))
    await world.db.executemany(
        """
        INSERT INTO registry.persons (
            province, person_id, region_code, insurance, status, name_sealed, id_number_sealed, id_number_index,
            registered_at, changed_at
        )
        VALUES (13, $1, '130100', 'resident', 'active', $2, $3, $4, now(), now())
        """,
        rows,
    )


async def found(world: World, number: int) -> list[str]:
    """Who is found by an ID number at the counter."""
    body = {"id_number": id_number(number), "region_code": "130600"}
    answer = await world.call(Role.CLERK, "POST", "/v1/person-searches", body)
    answer.raise_for_status()
    return [each["person_id"] for each in answer.json()["items"]]


async def shown(world: World, number: int) -> tuple[str, str]:
    answer = await world.call(Role.CLERK, "GET", f"/v1/persons/P{number:04d}")
    answer.raise_for_status()
    return answer.json()["name"], answer.json()["id_number"]


async def new_key(ring: RingFile, keeper: Session, suite: str = "aes-256-gcm") -> int:
    key_id = max(ring.read().lines) + 1
    ring.write(ring.read().with_key(RingKey.made(key_id, suite, shanghai_date(system_clock()))))
    await activate(keeper, key_id, system_clock())
    return key_id


async def rotated(keeper: Session, ring: RingFile, people_max: int = 500) -> Progress:
    return [each async for each in rotate(keeper, Sealer(ring.current), people_max)][-1]


def gongji(database: Database, ring: RingFile, *words: str, code: int = 0) -> str:
    """One `gongji keys` command; what it said."""
    done = subprocess.run(
        [GONGJI, "keys", *words],
        env=environment(database, ring),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


def environment(database: Database, ring: RingFile) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "COLUMNS": "300",
        "GONGJI_STATE_DIR": str(ring.file.parent),
        "GONGJI_DATABASE_URL": database.url,
        "GONGJI_KEY_RING_FILE": str(ring.file),
    }


def listed(database: Database, ring: RingFile) -> dict[int, tuple[str, int]]:
    """State and number of people of each key."""
    return {
        each["key_id"]: (each["state"], each["people"]) for each in json.loads(gongji(database, ring, "list", "--json"))
    }


# ---- the whole way ----


@pytest.mark.parametrize("suite", ["aes-256-gcm", "sm4-gcm"])
async def test_a_key_is_made_everybody_is_sealed_anew_and_the_old_one_is_retired(
    world: World, database: Database, ring: RingFile, suite: str
) -> None:
    """With the command, beside a service that is not started again."""
    await put(world, 1, 2)
    made = json.loads(gongji(database, ring, "new", "--suite", suite, "--json"))
    await put(world, 3)
    before = listed(database, ring)
    early = gongji(database, ring, "retire", "1", code=1)
    done = json.loads(gongji(database, ring, "rotate", "--batch", "1", "--json"))
    again = json.loads(gongji(database, ring, "rotate", "--json"))
    gongji(database, ring, "retire", "1")

    after = listed(database, ring)
    people = [await found(world, number) for number in (1, 2, 3)]

    assert (made["key_id"], made["suite"], made["active"]) == (2, suite, True)
    assert before == {1: ("opens", 2), 2: ("active", 1)}
    assert "2 people are still sealed with key 1" in early
    assert (done["seen"], done["resealed"], done["unreadable"], done["held"]) == (3, 2, [], [])
    assert again["resealed"] == 0
    assert after == {1: ("retired", 0), 2: ("active", 3)}
    assert list(ring.read().lines) == [2]
    assert people == [["P0001"], ["P0002"], ["P0003"]]
    assert await shown(world, 1) == ("张**", "130***********0001")


async def test_everybody_is_found_before_during_and_after(world: World, ring: RingFile, keeper: Session) -> None:
    """Some are indexed with one key, some with the other; nobody else is found."""
    await put(world, *range(6))
    await put(world, 7, name="李四")
    before = [await found(world, number) for number in range(6)]
    await new_key(ring, keeper, "sm4-gcm")
    rotation = rotate(keeper, Sealer(ring.current), people_max=3)
    await anext(rotation)
    halfway = await sealed_people(keeper)
    during = [await found(world, number) for number in range(6)]
    async for _ in rotation:
        pass

    after = [await found(world, number) for number in range(6)]

    assert halfway == {1: 4, 2: 3}
    assert await sealed_people(keeper) == {2: 7}
    assert before == during == after == [[f"P{number:04d}"] for number in range(6)]
    assert await found(world, 99) == []


async def test_nothing_but_the_seals_is_changed(world: World, ring: RingFile, keeper: Session) -> None:
    """It is no news of anybody."""
    await put(world, 1)
    query = "SELECT to_jsonb(p) - 'name_sealed' - 'id_number_sealed' - 'id_number_index' FROM registry.persons AS p"
    before = await world.db.fetchval(query)
    await new_key(ring, keeper)

    await rotated(keeper, ring)

    assert await world.db.fetchval(query) == before


# ---- interrupted ----


async def test_killed_again_and_again_it_goes_on_with_those_who_are_left(
    world: World, database: Database, ring: RingFile, keeper: Session
) -> None:
    """Killed with -9 in the middle of the work: everybody is whole, and what was done is not done again."""
    people = 600
    await fill(world, ring, people)
    await new_key(ring, keeper)
    done = 0
    for _ in range(3):
        rotation = await asyncio.create_subprocess_exec(
            GONGJI, "keys", "rotate", "--batch", "3", env=environment(database, ring), stdout=subprocess.DEVNULL
        )
        try:
            await until(partial(_more_than, keeper, done))
        finally:
            rotation.kill()
            await rotation.wait()
        counted = await sealed_people(keeper)
        assert counted.keys() == {1, 2}, "it was killed too late to prove anything"
        assert counted[1] + counted[2] == people, "somebody is sealed with two keys"
        done = counted[2]

    last = json.loads(gongji(database, ring, "rotate", "--json"))

    assert (last["seen"], last["resealed"]) == (people, people - done)
    assert await sealed_people(keeper) == {2: people}
    assert {number: await found(world, number) for number in (0, 299, 599)} == {
        0: ["P0000"],
        299: ["P0299"],
        599: ["P0599"],
    }


async def _more_than(keeper: Session, reached: int) -> bool:
    return (await sealed_people(keeper)).get(2, 0) > reached


async def test_what_is_put_meanwhile_stays_as_it_was_put(world: World, ring: RingFile, keeper: Session) -> None:
    """The feed writes everybody anew while they are being sealed anew: no word of it is lost, no key but the new one is left."""
    people = range(40)
    await put(world, *people)
    await new_key(ring, keeper)

    sealed_twice = asyncio.Event()

    async def feed() -> None:
        while not sealed_twice.is_set():
            for name in ("李四", "王五"):
                await put(world, *people, name=name)

    feeding = asyncio.create_task(feed())
    rounds = 0
    while not feeding.done():
        done = await rotated(keeper, ring, people_max=2)
        assert done.complete
        rounds += 1
        if rounds > 1:
            sealed_twice.set()
    await feeding

    assert await sealed_people(keeper) == {2: len(people)}
    assert {await shown(world, number) for number in people} == {
        ("王*", f"130***********{number:04d}") for number in people
    }


# ---- one key at a time ----


async def test_a_key_becomes_the_active_one_when_nobody_is_sealing(
    world: World, database: Database, ring: RingFile, keeper: Session
) -> None:
    """Whoever began with the old one ends with it first; so nothing is sealed with a key after its turn."""
    ring.write(ring.read().with_key(RingKey.made(2, "aes-256-gcm", shanghai_date(system_clock()))))
    sealing = await connect(database.url, role="gongji_binding", name="tests")
    transaction = sealing.transaction()
    await transaction.start()
    began_with = await registry.sealing_key(sealing)
    activating = asyncio.create_task(activate(keeper, 2, system_clock()))
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    await until(lambda: _one(world, waiting))
    still = (await sealing.fetchval(registry.SQL["sealing_key"]), activating.done())

    await transaction.commit()
    await activating
    async with sealing.transaction():
        now = await registry.sealing_key(sealing)
    await sealing.close()

    assert (began_with, still, now) == (1, (1, False), 2)


async def _one(world: World, query: str) -> bool:
    return bool(await world.db.fetchval(query))


async def test_an_instance_without_the_active_key_seals_nothing(
    world: World, ring: RingFile, keeper: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    """503, and the key is named in the log; as soon as the key is in its ring, it goes on."""
    await put(world, 1)
    before = ring.read()
    await new_key(ring, keeper)
    after = ring.read()
    ring.write(before)
    body = {"name": "李四", "id_number": id_number(1), "region_code": "130100", "insurance": "employee"}

    refused = await world.call(Role.FEED, "PUT", "/v1/persons/P0001", body)
    kept = await shown(world, 1)
    ring.write(after)
    taken = await world.call(Role.FEED, "PUT", "/v1/persons/P0001", body)

    assert (refused.status_code, refused.json()["reason"], refused.headers["Retry-After"]) == (503, "unavailable", "2")
    assert kept == ("张**", "130***********0001")
    assert (taken.status_code, taken.json()["name"]) == (200, "李*")
    said = capsys.readouterr().out
    assert "key 2 is not in the key ring" in said
    assert "李四" not in said


async def test_a_retired_key_never_comes_back(
    world: World, database: Database, ring: RingFile, keeper: Session
) -> None:
    """Not by its id either: a backup from its time must not meet another key of the same id."""
    lost = ring.read()
    await new_key(ring, keeper)
    gongji(database, ring, "retire", "1")
    ring.write(lost.with_key(ring.read().lines[2]))

    refused = gongji(database, ring, "activate", "1", code=1)
    active = gongji(database, ring, "retire", "2", code=1)
    gongji(database, ring, "new", "--only-ring")
    gongji(database, ring, "retire", "3")
    made = json.loads(gongji(database, ring, "new", "--json"))

    assert "key 1 was retired and is not used again" in refused
    assert "key 2 is the active one" in active
    assert made["key_id"] == 4


async def test_a_key_is_put_into_rings_first_where_there_are_several(
    world: World, database: Database, ring: RingFile
) -> None:
    """Made in one ring, given to the others, then activated; one that is not in the ring here is not activated."""
    await put(world, 1)

    said = gongji(database, ring, "new", "--only-ring", "--lang", "zh")
    waiting = listed(database, ring)
    unknown = gongji(database, ring, "activate", "3", code=2)
    gongji(database, ring, "activate", "2")

    assert "密钥 2 已写入密钥环" in said
    assert waiting == {1: ("active", 1), 2: ("unused", 0)}
    assert "key 3 is not in the ring here" in unknown
    assert listed(database, ring) == {1: ("opens", 1), 2: ("active", 0)}


# ---- who cannot be sealed anew ----


async def test_whoever_is_held_is_sealed_anew_when_they_are_let_go(
    world: World, ring: RingFile, keeper: Session
) -> None:
    """It waits for nobody, and forgets nobody."""
    await put(world, 1, 2, 3)
    await new_key(ring, keeper)
    holding = world.db.transaction()
    await holding.start()
    await world.db.execute("SELECT FROM registry.persons WHERE person_id = 'P0002' FOR UPDATE")
    rotation = rotate(keeper, Sealer(ring.current))
    first = await anext(rotation)
    held, resealed = list(first.held), first.resealed

    await holding.rollback()
    last = [each async for each in rotation][-1]

    assert ([each.person_id for each in held], resealed) == (["P0002"], 2)
    assert (last.complete, last.resealed) == (True, 3)
    assert await sealed_people(keeper) == {2: 3}


async def test_whoever_is_held_all_the_time_is_told(
    world: World, ring: RingFile, keeper: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is run again."""
    monkeypatch.setattr(resealing, "ROUNDS_MAX", 2)
    monkeypatch.setattr(resealing, "BETWEEN_ROUNDS_S", 0.01)
    await put(world, 1)
    await new_key(ring, keeper)
    async with world.db.transaction():
        await world.db.execute("SELECT FROM registry.persons FOR UPDATE")

        done = await rotated(keeper, ring)

    assert (done.complete, [each.person_id for each in done.held]) == (False, ["P0001"])


async def test_whoever_cannot_be_opened_is_named_and_the_others_are_sealed_anew(
    world: World, database: Database, ring: RingFile, keeper: Session
) -> None:
    """A name that was moved from another row, a key that is gone, and bytes that are nothing."""
    await put(world, *range(5))
    await new_key(ring, keeper)
    await world.db.execute(
        "UPDATE registry.persons SET name_sealed = (SELECT name_sealed FROM registry.persons WHERE person_id = 'P0000') WHERE person_id = 'P0001'"
    )
    await world.db.execute(r"UPDATE registry.persons SET name_sealed = '\x0201000900' WHERE person_id = 'P0002'")
    await world.db.execute(r"UPDATE registry.persons SET id_number_sealed = '' WHERE person_id = 'P0003'")

    done = json.loads(gongji(database, ring, "rotate", "--json", code=1))
    said = gongji(database, ring, "rotate", code=1)
    refused = gongji(database, ring, "retire", "1", code=1)

    assert {each["person_id"]: each["why"] for each in done["unreadable"]} == {
        "P0001": "it was not sealed so with this key 1",
        "P0002": "key 9 is not in the key ring",
        "P0003": "it is no sealed value",
    }
    assert done["resealed"] == 2
    assert "13 P0002: key 9 is not in the key ring" in said
    # The ID numbers of two, and the name of one.
    assert "3 people are still sealed with key 1" in refused
    assert listed(database, ring)[9] == ("unused", 1)


async def test_a_call_for_whoever_cannot_be_opened_tells_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """503 for the caller; the log says which key it would take, and not of whom."""
    await put(world, 1)
    await world.db.execute(r"UPDATE registry.persons SET name_sealed = '\x0201000900'")

    answer = await world.call(Role.CLERK, "GET", "/v1/persons/P0001")

    said = capsys.readouterr().out
    assert (answer.status_code, answer.json()["reason"]) == (503, "unavailable")
    assert "key 9 is not in the key ring" in said
    assert "P0001" not in said


# ---- the command and its ring ----


def test_what_is_wrong_with_the_ring_is_one_sentence(database: Database, ring: RingFile) -> None:
    """Whichever command; nothing of a key is shown."""
    secret = ring.read().lines[1].sealing
    ring.file.write_text(f"1 aes-256-gcm 2026-11-28 {secret}\n")

    said = [gongji(database, ring, *words, code=2) for words in (["list"], ["new"], ["rotate"], ["activate", "1"])]
    ring.file.unlink()
    missing = gongji(database, ring, "list", code=2)

    assert all("key_ring: line 1: a key has 5 words, not 4" in each for each in said)
    assert secret not in "".join(said)
    assert "key_ring" in missing


def test_what_the_command_needs_may_be_in_secret_files(database: Database, ring: RingFile, tmp_path: Path) -> None:
    """As in a container."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "gongji_database_url").write_text(database.url + "\n")
    told: dict[str, Any] = environment(database, ring)
    del told["GONGJI_DATABASE_URL"]

    done = subprocess.run(
        [GONGJI, "keys", "list", "--json"],
        env={**told, "GONGJI_SECRETS_DIR": str(secrets)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert [each["key_id"] for each in json.loads(done.stdout)] == [1]


async def test_a_second_rotation_at_the_same_time_does_no_harm(world: World, ring: RingFile, keeper: Session) -> None:
    """They pass over whom the other holds."""
    await fill(world, ring, 200)
    await new_key(ring, keeper)
    other = await connect(world.database_url, role=resealing.ROLE, name="tests")

    both = await asyncio.gather(rotated(keeper, ring, 7), rotated(other, ring, 11))
    await other.close()

    assert sum(each.resealed for each in both) == 200
    assert all(each.complete for each in both)
    assert await sealed_people(keeper) == {2: 200}


async def test_another_activation_while_everybody_is_sealed_anew_is_not_missed(
    world: World, ring: RingFile, keeper: Session
) -> None:
    """It begins anew, for the key that is the active one now."""
    await put(world, *range(4))
    await new_key(ring, keeper)
    rotation = rotate(keeper, Sealer(ring.current), people_max=2)
    await anext(rotation)
    other = await connect(world.database_url, role=resealing.ROLE, name="tests")
    await new_key(ring, other)
    await other.close()

    async for _ in rotation:
        pass

    assert await sealed_people(keeper) == {3: 4}


async def test_refusals_are_errors_of_one_kind(keeper: Session) -> None:
    """For whoever calls them from code."""
    with pytest.raises(KeyRefused, match="key 1 is the active one"):
        await resealing.retire(keeper, 1, system_clock())
