"""A service as a process of its own, so that it can be stopped, killed and cut off from its servers."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil

from deploy.devstack.ports import LOOPBACK
from deploy.devstack.privileges import dying_with_parent
from services.settlement.settings import SettlementSettings
from shared.rabbit.topology import SETTLEMENT
from tests.support import clocks
from tests.support.clocks import TurnedClock
from tests.support.ports import free_port
from tests.support.world import World

PROJECT = Path(__file__).parents[2]
LOG_BYTES_MAX = 10_000_000
LOG_SHOWN = 4_000
MIB = 1024 * 1024
# What docs/performance.md promises of a worker, however much waits for it; and what comes and goes while it works.
MEMORY_MIB_MAX = 150
GROWTH_MIB_MAX = 4
# Of one queue, where nothing else is said.
LANES = int(SettlementSettings.model_fields["lanes"].default)
IN_HAND_MAX = LANES * int(SettlementSettings.model_fields["prefetch"].default)


class ServiceProcess:
    """`python -m services.<name>` on a world's servers, with its probes on a port of its own; where a test turns its clock, by that."""

    def __init__(self, service: str, world: World, clock: TurnedClock | None = None, /, **variables: str) -> None:
        self.port = free_port()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 it lives as long as the process
        # A run that is killed leaves nobody at work.
        self.process = subprocess.Popen(
            dying_with_parent((sys.executable, "-m", *_module(service, clock)), death_signal="KILL", account=None),
            cwd=PROJECT,
            env={
                "PATH": "/usr/bin:/bin",
                "GONGJI_DATABASE_URL": world.database_url,
                "GONGJI_AMQP_URL": world.amqp_url,
                "GONGJI_HTTP_PORT": str(self.port),
                "GONGJI_AUTHENTICATE_SENDERS": "false",
                **variables,
            },
            stdout=self._log,
        )

    async def status(self, path: str) -> int | None:
        """The status of one of its probes, or None where nobody answers."""
        try:
            async with httpx.AsyncClient() as http:
                return (await http.get(f"http://{LOOPBACK}:{self.port}{path}", timeout=10)).status_code
        except httpx.HTTPError:
            return None

    async def is_ready(self) -> bool:
        return await self.status("/readyz") == 200

    async def is_not_ready(self) -> bool:
        return await self.status("/readyz") == 503

    async def metric(self, name: str) -> float:
        """The sum over all labels."""
        text = await self.page("/metrics")
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))

    async def page(self, path: str) -> str:
        """What one of its probes says."""
        async with httpx.AsyncClient() as http:
            return (await http.get(f"http://{LOOPBACK}:{self.port}{path}", timeout=10)).text

    def memory_mib(self) -> float:
        """What it has in memory now."""
        return float(psutil.Process(self.process.pid).memory_info().rss / MIB)

    def most_memory_mib(self) -> float:
        """The most that it has ever had in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def logged(self, event: str) -> list[dict[str, Any]]:
        """What it has said of one kind of event so far."""
        return [line for line in self._lines() if line["event"] == event]

    def has_logged(self, event: str, times: int = 1) -> bool:
        return len(self.logged(event)) >= times

    def has_died(self) -> bool:
        return self.process.poll() == -signal.SIGKILL

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def is_stopped(self) -> bool:
        return psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED

    def resume(self) -> None:
        """After it was stopped."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if not self._log.closed:
            # Shown where the test fails.
            sys.stdout.write(self.log[-LOG_SHOWN:].decode(errors="replace"))
            self._log.close()

    @property
    def log(self) -> bytes:
        """All that it has said so far."""
        # Not by seeking: the process writes at the same place in the file.
        return os.pread(self._log.fileno(), LOG_BYTES_MAX, 0)

    def _lines(self) -> Iterator[dict[str, Any]]:
        for line in self.log.splitlines(keepends=True):
            if line.endswith(b"\n"):
                yield orjson.loads(line)


def _module(service: str, clock: TurnedClock | None) -> list[str]:
    """What is run, and its arguments."""
    return [f"services.{service}"] if clock is None else [clocks.__name__, service, str(clock.file), str(clock.off_s)]


class Worker(ServiceProcess):
    """A settlement worker; it takes inquiries too."""

    def __init__(self, world: World, clock: TurnedClock | None = None, /, **variables: str) -> None:
        super().__init__("settlement", world, clock, **variables)

    async def has_paused(self) -> bool:
        """Whether it consumes no settlements; the broker itself still counts a consumer that holds messages."""
        return await self.metric(f'gongji_consuming{{queue="{SETTLEMENT}"}}') == 0

    async def has_put_aside(self, times: int) -> bool:
        return await self.metric(f'gongji_requests_put_aside_total{{queue="{SETTLEMENT}"}}') >= times
