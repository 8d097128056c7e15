"""A cluster of RabbitMQ nodes, each on a machine of its own that can be killed, cut off and had back."""

import asyncio
import secrets
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from deploy.devstack.installation import rabbitmq_server
from deploy.devstack.keys import write_private
from deploy.devstack.processes import ProcessSpec, launch
from deploy.devstack.rabbitmq import Rabbit, RabbitPorts
from tests.support.network import Machine, Network
from tests.support.world import until

HEALED_WITHIN_S = 60.0

# A machine has all ports to itself.
PORTS = RabbitPorts(amqp=5672, management=15672, distribution=25672, epmd=4369)

# Seconds without a sign of life after which a node holds another for gone; sixty by default.
TICK_TIME_S = 10

CLUSTERING = """\
cluster_partition_handling = pause_minority
cluster_formation.peer_discovery_backend = classic_config
"""
STARTS_WITHIN_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Member(Rabbit):
    """A node of a cluster, whose nodes are named by their machines' addresses."""

    machine: Machine
    members: tuple[str, ...]
    cookie: str

    @property
    def node_name(self) -> str:
        return name_on(self.machine)

    def configuration(self) -> str:
        formed_of = (
            f"cluster_formation.classic_config.nodes.{number} = {name}\n"
            for number, name in enumerate(self.members, start=1)
        )
        return super().configuration() + CLUSTERING + "".join(formed_of)

    def environment(self) -> dict[str, str]:
        environment = super().environment()
        arguments = environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
        return environment | {
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{arguments} -kernel net_ticktime {TICK_TIME_S}",
        }

    def epmd(self) -> ProcessSpec:
        return self._there(super().epmd())

    def node(self) -> ProcessSpec:
        spec = super().node()
        write_private(self.home / ".erlang.cookie", self.cookie.encode())
        return self._there(spec)

    def _there(self, spec: ProcessSpec) -> ProcessSpec:
        argv = self.machine.namespace.inside(*spec.command.argv)
        return replace(spec, command=replace(spec.command, argv=argv))


def name_on(machine: Machine) -> str:
    return f"gongji@{machine.address}"


@dataclass
class Node:
    """A member that is started and killed."""

    member: Member
    _running: list[Process] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.member.node_name

    @property
    def machine(self) -> Machine:
        return self.member.machine

    @property
    def amqp_url(self) -> str:
        return self.member.amqp_url

    async def start(self) -> None:
        """From what its disk has, if it ran before. Returns once clients may come."""
        for spec in (self.member.epmd(), self.member.node()):
            self._running.append(await launch(spec.command))
            await until(spec.is_ready, timeout_s=STARTS_WITHIN_S)

    async def kill(self) -> None:
        """At once, as when the machine loses its power."""
        for process in self._running:
            process.kill()
            await process.wait()
        self._running.clear()

    def stand_still(self) -> None:
        """It answers nobody, and nobody is told."""
        self._running[-1].send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._running[-1].send_signal(signal.SIGCONT)

    async def asked(self, path: str) -> Any:
        """What its management API says. Raises httpx.HTTPError where it says nothing."""
        async with httpx.AsyncClient(trust_env=False) as http:
            response = await http.get(f"{self.member.management_url}/api/{path}", timeout=10)
        return response.raise_for_status().json()


class Cluster:
    """Each node has a member of every queue. Nobody but the test starts again what has died."""

    def __init__(self, network: Network, nodes: Sequence[Node]) -> None:
        self.network = network
        self.nodes = nodes

    @classmethod
    @asynccontextmanager
    async def of(cls, directory: Path, *names: str) -> AsyncIterator["Cluster"]:
        """One node for each name, all of them running."""
        password, cookie = secrets.token_hex(16), secrets.token_hex(16)
        server = await asyncio.to_thread(rabbitmq_server, lambda _: None)
        with Network.of(*names) as network:
            members = tuple(name_on(machine) for machine in network.machines)
            nodes = [
                Node(
                    Member(
                        directory=directory / machine.name,
                        server=server,
                        ports=PORTS,
                        password=password,
                        host=str(machine.address),
                        machine=machine,
                        members=members,
                        cookie=cookie,
                    )
                )
                for machine in network.machines
            ]
            cluster = cls(network, nodes)
            try:
                first, *others = nodes
                # The others find it and join; all at once they might make two clusters.
                await first.start()
                async with asyncio.TaskGroup() as starting:
                    for node in others:
                        starting.create_task(node.start())
                await cluster.heals()
                yield cluster
            finally:
                for node in nodes:
                    await node.kill()

    @property
    def amqp_url(self) -> str:
        """All nodes, the first of them first."""
        return ",".join(node.amqp_url for node in self.nodes)

    async def leader(self, queue: str) -> Node:
        """Who decides what is in a queue, while all nodes run."""
        name = (await self.nodes[0].asked(f"queues/%2F/{queue}"))["leader"]
        return next(node for node in self.nodes if node.name == name)

    async def heals(self) -> None:
        """Waits until it is whole: a node that was cut off stops and starts anew, which takes as long as a start."""
        await until(self.is_whole, timeout_s=HEALED_WITHIN_S)

    async def takes_back(self, node: Node) -> None:
        """Waits until it is whole after one node was cut off, which starts anew by itself.

        Erlang's `global` may hang in that for good, on both sides; then the node is started again, as docs/operations.md has it.
        """
        try:
            await self.heals()
        except TimeoutError:
            await node.kill()
            await node.start()
            await self.heals()

    async def is_whole(self) -> bool:
        """Whether every node sees every other, and any one of them may go without a queue losing its majority."""
        try:
            for node in self.nodes:
                if not all(each["running"] for each in await node.asked("nodes")):
                    return False
                await node.asked("health/checks/node-is-quorum-critical")
        except httpx.HTTPError:
            return False
        return True
