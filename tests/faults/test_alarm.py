"""A broker that runs out of memory blocks publishers; nothing is given up, and it goes on by itself."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator

import psutil
import pytest
from prometheus_client import REGISTRY

from deploy.devstack import state
from shared.rabbit import publisher
from shared.rabbit.connection import connect, open_channel
from shared.rabbit.topology import SETTLEMENT
from tests.support.world import World, until

Alarm = Callable[[str], None]


@pytest.fixture
def memory_limit(servers: state.StackState) -> Iterator[Alarm]:
    """Sets the run's broker's memory watermark; afterwards it is what it was."""
    current = state.load(servers.keys_directory.parent)
    assert current is not None
    pid = next(each.pid for each in current.processes if each.name == "rabbitmq")
    environment = psutil.Process(pid).environ()
    control = ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", "-n", environment["RABBITMQ_NODENAME"]]

    def limit(value: str) -> None:
        subprocess.run([*control, "set_vm_memory_high_watermark", *value.split()], env=environment, check=True)

    yield limit
    limit("0.6")


async def test_answers_wait_for_the_end_of_an_alarm(
    world: World, memory_limit: Alarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than a confirm may take: the same session goes on, and every request was delivered once."""
    monkeypatch.setattr(publisher, "CONFIRM_TIMEOUT_S", 1.0)
    asked = _count_questions(monkeypatch)
    world.start_worker()
    await world.family("MOTHER")
    await world.stop_workers()
    asking = [asyncio.create_task(world.settle(amount_fen=1, timeout_s=60)) for _ in range(5)]
    await until(lambda: _waiting(world, 5))
    await asyncio.to_thread(memory_limit, "absolute 1000")
    sessions = REGISTRY.get_sample_value("gongji_broker_sessions_total") or 0

    world.start_worker()
    await until(lambda: asked)
    await asyncio.to_thread(memory_limit, "0.6")
    answers = await asyncio.gather(*asking)

    assert {answer["outcome"] for answer in answers} == {"settled"}
    assert {answer["replayed"] for answer in answers} == {False}
    assert REGISTRY.get_sample_value("gongji_broker_sessions_total") == sessions + 1


def _count_questions(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What publishers found when a confirm was late."""
    found: list[bool] = []
    original = publisher.Publisher._blocked  # noqa: SLF001 the one place where an alarm is seen

    async def asked(self: publisher.Publisher) -> bool:
        blocked = await original(self)
        found.append(blocked)
        return blocked

    monkeypatch.setattr(publisher.Publisher, "_blocked", asked)
    return found


async def _waiting(world: World, count: int) -> bool:
    connection = await connect([world.amqp_url], name="tests")
    declared = await (await open_channel(connection, confirms=False)).queue_declare(queue=SETTLEMENT, passive=True)
    await connection.close()
    return declared.message_count == count
