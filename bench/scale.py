"""How much is measured: all of it, or just enough to see that the bench works."""

from dataclasses import dataclass

from bench.population import Population


@dataclass(frozen=True, slots=True)
class Scale:
    """`backlog` is the number of settlements that wait when a round begins; `idle_s` the length of a quiet phase.

    `waiting` are the requests before a worker whose memory is watched, `workers` the numbers of workers that are compared.
    """

    rounds: int
    population: Population
    backlog: int
    idle_s: float
    waiting: int
    workers: tuple[int, ...]


SEED = 2026
FULL = Scale(
    rounds=5,
    population=Population(families=100_000, seed=SEED),
    backlog=20_000,
    idle_s=10.0,
    waiting=200_000,
    workers=(1, 2, 4, 8),
)
QUICK = Scale(
    rounds=1,
    population=Population(families=4_000, seed=SEED),
    backlog=2_000,
    idle_s=3.0,
    waiting=6_000,
    workers=(1, 2),
)
