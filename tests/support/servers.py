"""The run's own servers, to be done something to."""

import asyncio
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.devstack import state
from shared.rabbit.management import vhost_of

CONTROL = "/usr/lib/rabbitmq/bin/rabbitmqctl"


@dataclass(frozen=True)
class Servers:
    """By the pids that their supervisor has written down; it starts again what dies."""

    directory: Path

    def process(self, name: str) -> psutil.Process:
        current = state.load(self.directory)
        assert current is not None
        return next(psutil.Process(each.pid) for each in current.processes if each.name == name)

    async def rabbitmqctl(self, *argv: str) -> str:
        """What the broker's own command says. It takes a second or two."""
        environment = await asyncio.to_thread(self.process("rabbitmq").environ)
        command = [CONTROL, "-q", "-n", environment["RABBITMQ_NODENAME"], *argv]
        done = await asyncio.to_thread(
            subprocess.run, command, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    def has_written_down(self, amqp_url: str, *queues: str) -> bool:
        """Whether these quorum queues outlive the broker's death: one whose name is not on its disk yet comes back empty, without a leader."""
        vhost = vhost_of(amqp_url)
        (names,) = self.directory.rglob("quorum/*/names.dets")
        written = names.read_bytes()
        return all(f"{vhost}_{queue}".encode() in written for queue in queues)

    async def held(self, amqp_url: str, queue: str) -> int:
        """How many of a queue's messages are in consumers' hands, unacknowledged, as the broker counts them every few seconds."""
        vhost = vhost_of(amqp_url)
        listed = await self.rabbitmqctl("list_queues", "--vhost", vhost, "name", "messages_unacknowledged")
        return next(int(line.split("\t")[1]) for line in listed.splitlines() if line.startswith(f"{queue}\t"))
