"""How many settlements a second, from a full queue to the last answer? The worker beside other ways of doing the same."""

from dataclasses import dataclass
from functools import partial

from bench import machine
from bench.draining import Load, Start, drain, peers, workers
from bench.load import SINGLE, TASKS, Form
from bench.peers import echoing, pgbench
from bench.proof import prove
from bench.report import SPEED, Compared, Measures, Result, at_least, at_most, result
from bench.rounds import Tell, conditions, each_round, in_turn, settled_in
from bench.scale import WARM_UP_PART, Scale
from bench.stage import Stage, settings_of

NAME = "throughput"
# What the insured of the whole country settled in eight months.
NATION, HOURS = 218_000_000, "hours_for_218_million"
LIBRARIES = ("aio-pika", "aiormq", "asyncpg", "celery", "faststream", "psycopg", "sqlalchemy", "uvloop")


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody who empties the queue, in so many processes; `settles`: by settling, not only by echoing."""

    name: str
    start: Start
    form: Form = SINGLE
    settles: bool = True


def peer(name: str, module: str, *, settles: bool = True) -> tuple[Subject, Subject]:
    """A peer in one process and in two."""
    one, two = (
        Subject(f"{name} ×{processes}", partial(peers, name=module, processes=processes), settles=settles)
        for processes in (1, 2)
    )
    return one, two


def gongji(processes: int) -> Subject:
    """The worker, in so many processes."""
    return Subject(f"Gongji ×{processes}", partial(workers, processes=processes))


ECHO, ECHO_TWICE = peer("echo", "echo", settles=False)
SUBJECTS = (
    # Side by side what is held against each other most closely: the machine's speed swings within minutes.
    ECHO,
    gongji(1),
    ECHO_TWICE,
    gongji(2),
    *peer("echo_wire", "echo_wire", settles=False),
    *peer("one-by-one", "one_by_one"),
    *peer("framework", "framework"),
    # One of it is two processes already.
    Subject("celery", partial(peers, name="celery"), form=TASKS),
)
COMPARED = (
    # What it comes to on this machine to run Gongji as it is meant to be instead of the plain way, ...
    Compared(SPEED, "Gongji ×2", "one-by-one ×1", at_least(8)),
    Compared(SPEED, "Gongji ×2", "framework ×1", at_least(10)),
    # ... and process for process.
    *(
        Compared(SPEED, f"Gongji ×{processes}", f"{plain} ×{processes}")
        for plain in ("one-by-one", "framework")
        for processes in (1, 2)
    ),
    Compared(SPEED, "Gongji ×2", "celery"),
    Compared(SPEED, "Gongji ×1", "echo ×1", at_least(0.8)),
    Compared(SPEED, "Gongji ×2", "echo ×2", at_least(0.8)),
    Compared(SPEED, "Gongji ×1", "echo_wire ×1"),
    Compared(SPEED, "Gongji ×2", "echo_wire ×2"),
    Compared(SPEED, "Gongji ×2", pgbench.NAME, at_least(1.2)),
    Compared(HOURS, "Gongji ×2", None, at_most(12)),
)


async def measure(stage: Stage, scale: Scale, tell: Tell) -> Result:
    """Each round every subject in turn, pgbench among them, with a queue of its own making."""
    async with pgbench.database(stage.database_url, scale.pgbench_scale) as pgbench_url:

        async def settle_in(number: int) -> None:
            # A round takes too long for all of them to lie between two checkpoints.
            await settled_in(stage, scale, f"{NAME}-{number}", tell)
            await pgbench.settle_in(pgbench_url, scale.pgbench_scale)

        async def one(number: int) -> dict[str, Measures]:
            subjects = {each.name: partial(_drained, stage, scale, each, number, tell) for each in SUBJECTS}
            measured_by_itself = {pgbench.NAME: partial(pgbench.measure, stage, pgbench_url, scale.backlog)}
            return await in_turn(number, subjects | measured_by_itself)

        rounds = await each_round(stage, scale, one, tell, begin=settle_in)
    own = {
        "backlog": scale.backlog,
        "warm_up": scale.backlog // WARM_UP_PART,
        "echo": {"lanes": echoing.LANES, "batch_max": echoing.BATCH_MAX, "prefetch": echoing.PREFETCH},
        "pgbench_scale": scale.pgbench_scale,
        "pgbench_clients": pgbench.CLIENTS,
        "libraries": machine.versions(LIBRARIES),
    }
    told = {f"Gongji ×{each}": settings_of("settlement-1", of=each) for each in (1, 2)}
    return result(NAME, conditions(scale.population, told, **own), rounds, COMPARED)


async def _drained(stage: Stage, scale: Scale, subject: Subject, number: int, tell: Tell) -> Measures:
    tell(f"round {number}: {subject.name} begins")
    series = f"{NAME}-{number}-{subject.name.replace(' ×', '-')}"
    waiting = Load(scale.population, series, scale.backlog, form=subject.form, settles=subject.settles)
    found = measures_of(subject, (await drain(stage, subject.start, waiting)).measures)
    if number == 1 and subject.settles:
        # Each by itself, once, so that it is known whose ledger does not hold.
        await prove(stage.database_url, tell)
    return found


def measures_of(subject: Subject, found: Measures) -> Measures:
    """An echo settles nothing, so it would never be through with the nation's settlements."""
    speed, cost = found[SPEED], {name: value for name, value in found.items() if name != SPEED}
    hours = {HOURS: round(NATION / 3600 / speed, 2)} if subject.settles else {}
    return {SPEED: speed, **hours, **cost}
