"""How much is measured: all of it, or just enough to see that the bench works."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import psutil

from bench.population import Population


@dataclass(frozen=True, slots=True)
class Scale:
    """`backlog` is the number of settlements that wait when a round begins; `idle_s` the length of a quiet phase.

    `settling_in` are the settlements between a checkpoint and what is measured. `gateway_backlog` are those that wait in bulk messages; whoever asks beside a backlog does so for at least `draining_s`.
    `steady_s` is how long settlements come at a steady rate; pgbench does as many transactions as settlements wait, on a
    database of `pgbench_scale`. `waiting` are the requests before a worker whose memory is watched, `workers` the numbers of
    workers that are compared. `log_segments` are those that PostgreSQL's log has before anything is measured, to be written over. `grown` are larger populations, to be held against `population`; where `proven_whole`, each of
    their ledgers is audited. `postgres` are settings of the server in place of the usual ones.
    """

    rounds: int
    population: Population
    backlog: int
    settling_in: int
    gateway_backlog: int
    idle_s: float
    draining_s: float
    steady_s: float
    pgbench_scale: int
    waiting: int
    workers: tuple[int, ...]
    log_segments: int = 0
    grown: tuple[Population, ...] = ()
    proven_whole: bool = False
    postgres: Mapping[str, str] = field(default_factory=dict)

    def settling_in_of(self, population: Population) -> int:
        """So many settlements that nearly every page of the accounts has been written since the last checkpoint.

        A page has some 46 accounts and a settlement locks two or three of them: three for a hundred accounts meet 97 of 100 pages.
        """
        return max(self.settling_in, population.accounts * 3 // 100)


SEED = 2026
# What is done beforehand and not counted, as a part of what is.
WARM_UP_PART = 10
# Neither the time nor the log of what is measured after a checkpoint is to bring about another.
LOG_MAX_GIB = 12
SERVER = {
    "checkpoint_timeout": "30min",
    "max_wal_size": f"{LOG_MAX_GIB}GB",
    # Every segment of the log is kept to be written over: none has to be made in the midst of a round.
    "min_wal_size": f"{LOG_MAX_GIB}GB",
    # Two fifths of the memory is the most that PostgreSQL's manual advises: on 24 GB what settlements look at fits, of ten million accounts too.
    "shared_buffers": f"{psutil.virtual_memory().total * 2 // 5 // 2**20}MB",
}
FULL = Scale(
    rounds=5,
    population=Population(families=100_000, seed=SEED),
    backlog=20_000,
    settling_in=60_000,
    gateway_backlog=50_000,
    idle_s=40.0,
    draining_s=10.0,
    steady_s=20.0,
    pgbench_scale=50,
    waiting=200_000,
    workers=(1, 2, 4, 8),
    # 4 GiB: more than any figure writes between two checkpoints.
    log_segments=256,
    postgres=SERVER,
)
QUICK = Scale(
    rounds=1,
    population=Population(families=4_000, seed=SEED),
    backlog=1_000,
    # Two workers would be started for it before each figure, and no figure of this one is told.
    settling_in=0,
    gateway_backlog=2_500,
    idle_s=2.0,
    draining_s=1.0,
    steady_s=2.0,
    pgbench_scale=5,
    waiting=3_000,
    workers=(1, 2),
)

# Families come in lots of four, of two accounts each.
ACCOUNTS_COME_BY = 8


def nation(accounts: int) -> Population:
    """Two bindings and five entries an account, over three years: a nation in small, or as it is at ten million accounts."""
    return Population(families=accounts // 2, seed=SEED, relatives=(0, 1, 1, 2), years_before=2)


GROWTH = replace(FULL, population=nation(200_000), grown=(nation(1_000_000), nation(10_000_000)))
QUICK_GROWTH = replace(QUICK, population=nation(8_000), grown=(nation(32_000),))
