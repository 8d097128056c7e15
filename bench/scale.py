"""How much is measured: all of it, or just enough to see that the bench works."""

from dataclasses import dataclass

from bench.population import Population


@dataclass(frozen=True, slots=True)
class Scale:
    """`backlog` is the number of settlements that wait when a round begins; `idle_s` the length of a quiet phase.

    `steady_s` is how long settlements come at a steady rate; pgbench does as many transactions as settlements wait, on a
    database of `pgbench_scale`.
    """

    rounds: int
    population: Population
    backlog: int
    idle_s: float
    steady_s: float
    pgbench_scale: int


SEED = 2026
# What is done beforehand and not counted, as a part of what is.
WARM_UP_PART = 10
FULL = Scale(
    rounds=5,
    population=Population(families=100_000, seed=SEED),
    backlog=20_000,
    idle_s=10.0,
    steady_s=20.0,
    pgbench_scale=50,
)
QUICK = Scale(
    rounds=1,
    population=Population(families=4_000, seed=SEED),
    backlog=1_000,
    idle_s=3.0,
    steady_s=3.0,
    pgbench_scale=5,
)
