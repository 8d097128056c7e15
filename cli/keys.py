"""keys: what names and ID numbers are sealed with. See them, make one, seal everybody anew, retire one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.environment import environment
from cli.options import AsJson, Lang
from cli.speech import REJECTED, USAGE, console, errors, print_json, speech
from services.binding.keyring import KEY_ID_MAX, KeyRing, RingFile, RingKey
from services.binding.resealing import (
    PEOPLE_MAX,
    ROLE,
    KeyRefused,
    Progress,
    activate,
    known_keys,
    retire,
    rotate,
    sealed_people,
)
from services.binding.sealing import Sealer
from services.binding.suites import OFFERED, BadKey
from shared.domain.times import shanghai_date, system_clock
from shared.postgres.pool import connect

SHOWN_MAX = 20
# People between two lines that tell how far it is.
TOLD_EVERY = 10_000
STATES = {
    "active": "正在使用",
    "opens": "只用于解密",
    "unused": "尚未使用",
    "retired": "已停用",
    "unreadable": "无法辨认",
}


class Algorithm(StrEnum):
    """The suites that a new key may be of."""

    AES = "aes-256-gcm"
    SM4 = "sm4-gcm"


assert tuple(Algorithm) == OFFERED

app = typer.Typer(help="The keys of names and ID numbers.", no_args_is_help=True)
KeyId = Annotated[int, typer.Argument(help="An id from `gongji keys list`.", min=1, max=KEY_ID_MAX)]
OnlyRing = Annotated[
    bool, typer.Option("--only-ring", help="Change the ring's file alone, where the database cannot be reached.")
]


@app.command("list")
def list_keys(as_json: AsJson = False, lang: Lang = None) -> None:
    """List every key, what it is used for, and how many people are sealed with it."""
    with _refusals():
        listed = asyncio.run(_listed(_ring().read()))
    if as_json:
        print_json(listed)
        return
    say = speech(lang)
    for each in listed:
        missing = (
            say("  [red]NOT IN THE RING[/]", "  [red]不在密钥环中[/]") if each["people"] and not each["in_ring"] else ""
        )
        console.print(
            f"{each['key_id'] or '?':>5}  {each['suite'] or '-':<13}  {each['made_on'] or '-'!s:<10}  "
            + say(f"{each['state']:<10}  {each['people']} people", f"{STATES[each['state']]}  {each['people']} 人")
            + missing
        )


@app.command("new")
def new_key(
    suite: Annotated[Algorithm, typer.Option(help="sm4-gcm is SM4 with SM3 (国密).")] = Algorithm.AES,
    only_ring: OnlyRing = False,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Make a key and seal with it from now on; `gongji keys rotate` seals anew what is there.

    With services on several machines: make it with --only-ring, give each of them the ring, then `gongji keys activate`.
    """
    with _refusals():
        key_id = asyncio.run(_made(suite, only_ring=only_ring))
    if as_json:
        print_json({"key_id": key_id, "suite": suite, "active": not only_ring})
        return
    say = speech(lang)
    console.print(
        say(f"key {key_id} is in the ring: keep a copy elsewhere", f"密钥 {key_id} 已写入密钥环，请在别处另存一份")
    )


@app.command("activate")
def activate_key(key_id: KeyId, lang: Lang = None) -> None:
    """Seal with this key from now on. Every binding service must have it in its ring."""
    with _refusals():
        if key_id not in _ring().read().lines:
            raise BadKey(f"key {key_id} is not in the ring here: see `gongji keys list`")
        asyncio.run(_activated(key_id))
    say = speech(lang)
    console.print(say(f"key {key_id} is the active one", f"密钥 {key_id} 已启用"))


@app.command("rotate")
def rotate_key(
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="People in one transaction.")] = PEOPLE_MAX,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Seal everybody anew with the active key, beside running services. Interrupted, run it again: it goes on."""
    say = speech(lang)
    with _refusals():
        done = asyncio.run(_rotated(batch))
    if as_json:
        print_json(
            {
                "seen": done.seen,
                "resealed": done.resealed,
                "unreadable": [{**person._asdict(), "why": why} for person, why in done.unreadable.items()],
                "held": [person._asdict() for person in done.held],
            }
        )
    else:
        console.print(
            say(f"{done.seen} people, {done.resealed} sealed anew", f"共 {done.seen} 人，重新加密 {done.resealed} 人")
        )
        for person, why in list(done.unreadable.items())[:SHOWN_MAX]:
            errors.print(f"[red]{person.province:02d} {person.person_id}: {why}[/]")
        if done.held:
            errors.print(
                say(
                    f"[yellow]{len(done.held)} people were held by somebody else: run it again[/]",
                    f"[yellow]{len(done.held)} 人被其他会话占用，请再次执行[/]",
                )
            )
    if not done.complete:
        raise typer.Exit(REJECTED)


@app.command("retire")
def retire_key(key_id: KeyId, only_ring: OnlyRing = False, lang: Lang = None) -> None:
    """Take a key that nothing is sealed with out of use and out of the ring, for good. Keep a copy for old backups.

    --only-ring does the second half alone: after the database has said yes.
    """
    say = speech(lang)
    with _refusals():
        if not only_ring:
            asyncio.run(_retired(key_id))
        with _ring().changing() as ring:
            if ring.lines.keys() == {key_id}:
                raise BadKey(f"key {key_id} is the only one in the ring")
            try:
                _ring().write(ring.without(key_id))
            except OSError as error:
                raise BadKey(
                    f"the ring cannot be written here ({error.strerror}): where it can, `gongji keys retire {key_id} --only-ring`"
                ) from error
    console.print(
        say(
            f"key {key_id} is retired; keep a copy for as long as there are backups from its time",
            f"密钥 {key_id} 已停用；在其使用期间的备份仍保留时，请留存副本",
        )
    )


def _ring() -> RingFile:
    return RingFile(Path(environment()["GONGJI_KEY_RING_FILE"]))


@contextmanager
def _refusals() -> Iterator[None]:
    """What is wrong with a key or its ring, in one sentence."""
    try:
        yield
    except (BadKey, FileNotFoundError) as error:
        errors.print(f"[red]{error}[/]")
        raise typer.Exit(USAGE) from None
    except KeyRefused as error:
        errors.print(f"[red]{error}[/]")
        raise typer.Exit(REJECTED) from None


@asynccontextmanager
async def _database() -> AsyncIterator[Any]:
    connection = await connect(environment()["GONGJI_DATABASE_URL"], role=ROLE, name="gongji-keys")
    try:
        yield connection
    finally:
        await connection.close()


async def _listed(ring: KeyRing) -> list[dict[str, Any]]:
    async with _database() as connection:
        known, people = await known_keys(connection), await sealed_people(connection)
    listed = []
    for key_id in sorted({*ring.lines, *known, *people}, key=lambda each: each or 0):
        line, key = ring.lines.get(key_id or 0), known.get(key_id or 0)
        state = "unreadable" if key_id is None else key.state if key else "unused"
        listed.append(
            {
                "key_id": key_id,
                "suite": line.suite if line else None,
                "made_on": line.made_on if line else None,
                "state": state,
                "in_ring": line is not None,
                "people": people.get(key_id, 0),
            }
        )
    return listed


async def _made(suite: Algorithm, *, only_ring: bool) -> int:
    now = system_clock()
    file = _ring()
    with file.changing() as ring:
        if only_ring:
            key_id = max(ring.lines) + 1
            file.write(ring.with_key(RingKey.made(key_id, suite, shanghai_date(now))))
            return key_id
        async with _database() as connection:
            # An id is never used twice, even if its line is gone from this ring.
            key_id = max({*ring.lines, *await known_keys(connection)}) + 1
            # In the file before anything can be sealed with it.
            file.write(ring.with_key(RingKey.made(key_id, suite, shanghai_date(now))))
            await activate(connection, key_id, now)
    return key_id


async def _activated(key_id: int) -> None:
    async with _database() as connection:
        await activate(connection, key_id, system_clock())


async def _retired(key_id: int) -> None:
    async with _database() as connection:
        await retire(connection, key_id, system_clock())


async def _rotated(batch: int) -> Progress:
    ring, told = _ring(), 0
    ring.current()
    done = Progress()
    async with _database() as connection:
        async for done in rotate(connection, Sealer(ring.current), batch):
            if done.seen // TOLD_EVERY > told:
                told = done.seen // TOLD_EVERY
                errors.print(f"[dim]{done.seen}[/]")
    return done
