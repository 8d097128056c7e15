"""How many settlements a second, from a full queue to the last answer? The worker beside other ways of doing the same."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench import machine
from bench.draining import Load, Start, drain, peers, workers
from bench.load import SINGLE, TASKS, Form
from bench.peers import pgbench
from bench.report import Compared, Measures, Result, at_least, at_most, ratio, result
from bench.scale import WARM_UP_PART, Scale
from bench.stage import Stage

NAME = "throughput"
# What the insured of the whole country settled in eight months.
NATION, HOURS = 218_000_000, "hours_for_218_million"
LIBRARIES = ("aio-pika", "aiormq", "asyncpg", "celery", "faststream", "psycopg", "sqlalchemy", "uvloop")


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody who empties the queue; `settles`: by settling, not only by echoing."""

    name: str
    start: Start
    form: Form = SINGLE
    settles: bool = True


SUBJECTS = (
    Subject("echo ×1", partial(peers, name="echo"), settles=False),
    Subject("echo ×2", partial(peers, name="echo", processes=2), settles=False),
    Subject("echo_wire ×1", partial(peers, name="echo_wire"), settles=False),
    Subject("echo_wire ×2", partial(peers, name="echo_wire", processes=2), settles=False),
    Subject("one-by-one", partial(peers, name="one_by_one")),
    Subject("framework", partial(peers, name="framework")),
    Subject("celery", partial(peers, name="celery"), form=TASKS),
    Subject("Gongji ×1", partial(workers, processes=1)),
    Subject("Gongji ×2", partial(workers, processes=2)),
)
SPEED = "settlements_per_s"
COMPARED = (
    Compared(SPEED, "Gongji ×2", "one-by-one", at_least(8)),
    Compared(SPEED, "Gongji ×2", "framework", at_least(10)),
    Compared(SPEED, "Gongji ×2", "celery"),
    Compared(SPEED, "Gongji ×1", "echo ×1", at_least(0.8)),
    Compared(SPEED, "Gongji ×2", "echo ×2", at_least(0.8)),
    Compared(SPEED, "Gongji ×1", "echo_wire ×1"),
    Compared(SPEED, "Gongji ×2", "echo_wire ×2"),
    Compared(SPEED, "Gongji ×2", pgbench.NAME, at_least(1.2)),
    Compared(HOURS, "Gongji ×2", None, at_most(12)),
)


async def measure(stage: Stage, scale: Scale, tell: Callable[[str], None]) -> Result:
    """Each round every subject in turn, with a queue of its own making; then pgbench for a while."""
    rounds = []
    async with pgbench.database(stage.database_url, scale.pgbench_scale) as pgbench_url:
        for number in range(1, scale.rounds + 1):
            measured: dict[str, Measures] = {}
            for subject in SUBJECTS:
                series = f"{NAME}-{number}-{subject.name.replace(' ×', '-')}"
                waiting = Load(scale.population, series, scale.backlog, form=subject.form)
                per_s = (await drain(stage, subject.start, waiting)).settlements_per_s
                measured[subject.name] = measures_of(subject, per_s)
                tell(f"round {number}: {subject.name} {per_s:,.0f} a second")
            await pgbench.transactions_per_s(pgbench_url, scale.backlog // WARM_UP_PART)
            measured[pgbench.NAME] = {SPEED: await pgbench.transactions_per_s(pgbench_url, scale.backlog)}
            tell(f"round {number}: pgbench {measured[pgbench.NAME][SPEED]:,.0f} a second")
            rounds.append(measured)
    conditions = {
        "accounts": scale.population.accounts,
        "people": scale.population.people,
        "bindings": scale.population.bindings,
        "seed": scale.population.seed,
        "backlog": scale.backlog,
        "warm_up": scale.backlog // WARM_UP_PART,
        "pgbench_scale": scale.pgbench_scale,
        "pgbench_clients": pgbench.CLIENTS,
        "libraries": machine.versions(LIBRARIES),
    }
    return result(NAME, conditions, rounds, COMPARED)


def measures_of(subject: Subject, per_s: float) -> Measures:
    """An echo settles nothing, so it would never be through with the nation's settlements."""
    speed = {SPEED: round(per_s, 1)}
    return speed | {HOURS: ratio(NATION / 3600, per_s)} if subject.settles else speed
