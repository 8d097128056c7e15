"""What the tests look at: processes, and the servers as a client sees them."""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import aio_pika
import asyncpg
import psutil

from deploy.devstack import state
from deploy.devstack.identity import runs
from deploy.devstack.state import StackState

QUEUE = "kept"


def until(condition: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{condition} did not hold within {within_s} s"
        time.sleep(0.1)


def family(stack: StackState) -> list[psutil.Process]:
    """The supervisor and everything below it."""
    supervisor = psutil.Process(stack.supervisor.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def started_for(directory: Path) -> list[psutil.Process]:
    """The supervisors that this process has started for a directory, and everything below them.

    The run's other servers are children of this process too.
    """
    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        try:
            if f"--state={directory.resolve()}" in child.cmdline():
                found += [child, *child.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    return found


def none_runs(processes: list[psutil.Process]) -> bool:
    return not any(runs(process) for process in processes)


def recorded(directory: Path) -> dict[str, int]:
    current = state.read(directory)
    assert current is not None
    return {process.name: process.pid for process in current.processes}


def restarted(directory: Path, name: str, killed: int) -> bool:
    return recorded(directory).get(name, killed) != killed


async def _write(stack: StackState, value: str) -> None:
    connection = await asyncpg.connect(stack.urls.database)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
    await connection.execute("INSERT INTO kept VALUES ($1)", value)
    await connection.close()
    async with await aio_pika.connect(stack.urls.amqp) as broker:
        channel = await broker.channel()
        # Not a quorum queue: RabbitMQ 3.10 forgets one that is killed in its first half second.
        await channel.declare_queue(QUEUE, durable=True)
        message = aio_pika.Message(value.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, QUEUE)
    remember_queues(stack)


# What rabbitmqctl ends with where it cannot reach its node.
UNAVAILABLE = os.EX_UNAVAILABLE
COMMAND_PATIENCE_S = 30.0


def remember_queues(stack: StackState) -> None:
    """Has the broker write down which queues there are; by itself it does so a moment after it has said that they are declared."""
    (pid,) = (process.pid for process in stack.processes if process.name == "rabbitmq")
    environment = psutil.Process(pid).environ()
    node = environment["RABBITMQ_NODENAME"]
    control = ("/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", "-n", node, "eval", "mnesia:sync_log().")
    ends_at = time.monotonic() + COMMAND_PATIENCE_S
    while True:
        done = subprocess.run(control, env=environment, check=False, capture_output=True, text=True)
        # The broker answers its clients before its own command can reach it.
        if done.returncode != UNAVAILABLE or time.monotonic() > ends_at:
            break
    assert done.returncode == 0, done.stdout + done.stderr


async def _row(stack: StackState) -> str:
    connection = await asyncpg.connect(stack.urls.database)
    value = await connection.fetchval("SELECT value FROM kept")
    await connection.close()
    return str(value)


async def _message(stack: StackState) -> str:
    async with await aio_pika.connect(stack.urls.amqp) as broker:
        channel = await broker.channel()
        queue = await channel.get_queue(QUEUE)
        message = await queue.get(timeout=10)
        assert message is not None
        await message.reject(requeue=True)
        return message.body.decode()


def write(stack: StackState, value: str) -> None:
    """Leave one row and one message."""
    asyncio.run(_write(stack, value))


def row(stack: StackState) -> str | None:
    """The row left by `write`; None while the server does not answer."""
    try:
        return asyncio.run(_row(stack))
    except (OSError, asyncpg.PostgresError):
        return None


def message(stack: StackState) -> str | None:
    """The message left by `write`; None while the server does not answer."""
    try:
        return asyncio.run(_message(stack))
    except (OSError, aio_pika.exceptions.AMQPError):
        return None
