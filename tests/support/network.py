"""Machines of their own on this one: network namespaces, each with a cable to its cluster and a cable to us.

No namespace has a name: each lives as long as the process that holds it, which dies with us, and its cables with it.
"""

import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from deploy.devstack.privileges import dying_with_parent

IP, NSENTER, UNSHARE = "/usr/sbin/ip", "/usr/bin/nsenter", "/usr/bin/unshare"

# Set apart for trying out networks (RFC 2544), so no real one is in the way.
SET_APART = IPv4Network("198.18.0.0/15")
# One for the machines among themselves, one for us and them.
PREFIX = 28

# The switches, and what a machine calls its cable to each.
CLUSTER, CLIENTS = "cluster", "clients"


@dataclass(frozen=True)
class Namespace:
    """A network that only the processes in it see, held by one of them."""

    pid: int

    @classmethod
    @contextmanager
    def held(cls) -> Iterator["Namespace"]:
        held = (UNSHARE, "--net", "--", "/bin/sh", "-c", "echo held; exec sleep infinity")
        with subprocess.Popen(
            dying_with_parent(held, death_signal="KILL", account=None), stdout=subprocess.PIPE, start_new_session=True
        ) as holder:
            try:
                assert holder.stdout
                assert holder.stdout.readline() == b"held\n"
                yield cls(holder.pid)
            finally:
                holder.kill()

    def inside(self, *argv: str) -> tuple[str, ...]:
        """The command line that runs a program there."""
        return (NSENTER, f"--net=/proc/{self.pid}/ns/net", "--", *argv)


@dataclass(frozen=True)
class Machine:
    """One address, reached over both of its cables."""

    name: str
    address: IPv4Address
    namespace: Namespace


class Network:
    """Machines, the two switches that they are plugged into, and our own cable to the second."""

    def __init__(self, switches: Namespace, machines: Sequence[Machine]) -> None:
        self.machines = machines
        self._switches = switches

    @classmethod
    @contextmanager
    def of(cls, *names: str) -> Iterator["Network"]:
        """As many machines as there are names. Needs root, and the programs `ip`, `unshare` and `nsenter`."""
        among_themselves, with_us = _two_networks()
        with ExitStack() as held:
            switches = held.enter_context(Namespace.held())
            ip(f"link add {CLUSTER} up type bridge", f"link add {CLIENTS} up type bridge", inside=switches)
            us = f"gongji{secrets.token_hex(4)}"
            ip(f"link add {us} type veth peer name us netns {switches.pid}")
            # The kernel takes its time to clear away what nobody holds any more.
            held.callback(ip, f"link delete {us}")
            ip(f"address add {with_us[1]}/{PREFIX} dev {us}", f"link set {us} up")
            ip(f"link set dev us master {CLIENTS} up", inside=switches)
            machines = []
            for number, name in enumerate(names, start=2):
                machine = Machine(name, among_themselves[number], held.enter_context(Namespace.held()))
                _wire(machine, switches, with_us[number])
                # Its one address is that among themselves; it answers to it on either cable.
                ip(f"route add {machine.address} via {with_us[number]} dev {us}")
                machines.append(machine)
            yield cls(switches, machines)

    def unplug(self, machine: Machine, *cables: str) -> None:
        """Both ends lose the signal; nothing is closed, and what is sent is lost."""
        ip(*(f"link set dev {_port(machine, cable)} down" for cable in cables), inside=self._switches)

    def plug(self, machine: Machine, *cables: str) -> None:
        """Everything passes again; of what was lost nobody tells."""
        ip(*(f"link set dev {_port(machine, cable)} up" for cable in cables), inside=self._switches)


def _two_networks() -> tuple[IPv4Network, IPv4Network]:
    """Drawn at random: runs beside each other have others."""
    size = 2 * IPv4Network((0, PREFIX)).num_addresses
    first = SET_APART[secrets.randbelow(SET_APART.num_addresses // size) * size]
    return IPv4Network((first, PREFIX)), IPv4Network((first + size // 2, PREFIX))


def _wire(machine: Machine, switches: Namespace, address_towards_us: IPv4Address) -> None:
    addresses = {CLUSTER: machine.address, CLIENTS: address_towards_us}
    for cable, address in addresses.items():
        port = _port(machine, cable)
        ip(f"link add {cable} netns {machine.namespace.pid} type veth peer name {port} netns {switches.pid}")
        ip(f"link set dev {port} master {cable} up", inside=switches)
        ip(f"address add {address}/{PREFIX} dev {cable}", f"link set {cable} up", inside=machine.namespace)
    ip("link set lo up", inside=machine.namespace)


def _port(machine: Machine, switch: str) -> str:
    return f"{machine.name}-{switch}"


def ip(*lines: str, inside: Namespace | None = None) -> None:
    """Lines of the `ip` command, here or in a namespace."""
    command = (IP, "-batch", "-")
    subprocess.run(inside.inside(*command) if inside else command, input="\n".join((*lines, "")), text=True, check=True)
