"""pgbench: TPC-B-like, prepared statements, 32 clients: what PostgreSQL does when it is asked one thing at a time.

It runs on a database of its own on the same server, in the session settings of that server: as durable as everything else.
"""

import asyncio
import math
import os
import re
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit

from bench import processor
from bench.load import LoadFailed
from bench.report import SPEED, Measures
from bench.scale import WARM_UP_PART
from bench.sessions import session
from bench.stage import Stage
from deploy.devstack.postgres import binaries

NAME = "pgbench"
DATABASE = "gongji_bench_pgbench"
CLIENTS, THREADS = 32, 2
# Transactions before anything is measured, for each unit of the scale: a unit is 100,000 accounts on 1,640 pages, of which so many
# transactions, each of one account, meet 97 of 100.
SETTLING_IN = 5_800
TPS = re.compile(r"^tps = ([0-9.]+) \(without initial connection time\)$", re.MULTILINE)


@asynccontextmanager
async def database(url: str, scale: int) -> AsyncIterator[str]:
    """The url of a filled database of pgbench, dropped in the end. It has not settled in yet."""
    await _administer(url, f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    await _administer(url, f"CREATE DATABASE {DATABASE}")
    filled = urlsplit(url)._replace(path=f"/{DATABASE}").geturl()
    try:
        await _run(filled, "--initialize", f"--scale={scale}", "--quiet")
        yield filled
    finally:
        await _administer(url, f"DROP DATABASE {DATABASE} WITH (FORCE)")


async def settle_in(url: str, scale: int) -> None:
    """So many transactions that nearly every page has been written whole since the last checkpoint, as for everybody else."""
    await transactions_per_s(url, SETTLING_IN * scale)


async def measure(stage: Stage, url: str, transactions: int) -> Measures:
    """How fast it is through with so many, and at which cost, after a tenth of them that is not counted."""
    await transactions_per_s(url, transactions // WARM_UP_PART)
    servers = stage.parties(())
    before = processor.read(servers)
    per_s = await transactions_per_s(url, transactions)
    return {SPEED: round(per_s, 1), **processor.spent(before, processor.read(servers), transactions)}


async def transactions_per_s(url: str, transactions: int) -> float:
    """How fast pgbench is through with so many, the same number for each client."""
    each = math.ceil(transactions / CLIENTS)
    said = await _run(url, "--protocol=prepared", f"--client={CLIENTS}", f"--jobs={THREADS}", f"--transactions={each}")
    return tps_of(said)


def tps_of(said: str) -> float:
    """The transactions a second that pgbench reports. Raises LoadFailed where it reports none."""
    found = TPS.search(said)
    if found is None:
        raise LoadFailed(f"pgbench told no result:\n{said}")
    return float(found[1])


def environment_of(url: str) -> dict[str, str]:
    """How PostgreSQL's own programs are told where the server is; a password is not for the command line."""
    parts = urlsplit(url)
    told = {
        "PGHOST": parts.hostname,
        "PGPORT": str(parts.port) if parts.port else None,
        "PGUSER": unquote(parts.username) if parts.username else None,
        "PGPASSWORD": unquote(parts.password) if parts.password else None,
        "PGDATABASE": parts.path.removeprefix("/") or None,
    }
    return {name: value for name, value in told.items() if value is not None}


async def _run(url: str, *options: str) -> str:
    program = binaries(None) / NAME
    process = await asyncio.create_subprocess_exec(
        program, *options, env={**os.environ, **environment_of(url)}, stdout=PIPE, stderr=PIPE
    )
    try:
        said, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise LoadFailed(f"pgbench ended with {process.returncode}:\n{complained.decode()}")
    return said.decode()


async def _administer(url: str, statement: str) -> None:
    async with session(url) as connection:
        await connection.execute(statement)
