"""A service as a process of its own, so that it can be killed."""

import subprocess
import sys

import httpx

from deploy.devstack.ports import LOOPBACK
from tests.support.ports import free_port
from tests.support.world import World


class ServiceProcess:
    """`python -m services.<name>` on a world's servers, with its probes on a port of its own."""

    def __init__(self, service: str, world: World, **variables: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"services.{service}"],
            env={
                "PATH": "/usr/bin:/bin",
                "GONGJI_DATABASE_URL": world.database_url,
                "GONGJI_AMQP_URL": world.amqp_url,
                "GONGJI_HTTP_PORT": str(self.port),
                "GONGJI_AUTHENTICATE_SENDERS": "false",
                **variables,
            },
            stdout=subprocess.DEVNULL,
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

    async def metric(self, name: str) -> float:
        """The sum over all labels."""
        async with httpx.AsyncClient() as http:
            text = (await http.get(f"http://{LOOPBACK}:{self.port}/metrics", timeout=10)).text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
