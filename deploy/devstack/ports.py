"""Loopback ports that nobody else is given, and that stay the same from one start to the next."""

import random
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from deploy.devstack.failure import StackFailed

LOOPBACK = "127.0.0.1"

# Below the range the kernel hands out for outgoing connections: while a server restarts,
# nothing else is given its port, and a client polling that port cannot connect to itself.
PRIVATE_RANGE = range(20_000, 30_000)

# RabbitMQ's default for traffic between nodes; its other standard ports lie outside the range.
STANDARD_PORTS = frozenset({25_672})


@contextmanager
def claimed(names: Collection[str], previous: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """One port for each name, which no other claim is given while the block lasts: the previous one where it is free, else a new one.

    A server is started, or started again, some time after its port was chosen; another stack that starts meanwhile
    would choose among the same.
    """
    with ExitStack() as claims:

        def is_ours(port: int) -> bool:
            claim = _claim(port)
            if claim is not None:
                claims.enter_context(claim)
            return claim is not None

        chosen = {name: previous[name] for name in names if name in previous and is_ours(previous[name])}
        # By no seed: who starts beside us with the same one would be given the same.
        drawn = random.SystemRandom().sample(PRIVATE_RANGE, len(PRIVATE_RANGE))
        others = STANDARD_PORTS.union(previous.values())
        new = (port for port in drawn if port not in others and is_ours(port))
        chosen |= zip((name for name in names if name not in chosen), new, strict=False)
        if len(chosen) < len(names):
            raise StackFailed(
                f"no port is free from {PRIVATE_RANGE.start} to {PRIVATE_RANGE.stop - 1}: stop what listens there"
            )
        yield chosen


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _claim(port: int) -> socket.socket | None:
    """What keeps the port for whoever has it open, without being in its server's way; None where somebody has it or listens there.

    A name without a file, in the same network as the port, that Linux gives to one at a time and takes back by itself.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0gongji-port-{port}")
    except OSError:
        claim.close()
        return None
    if is_free(port):
        return claim
    claim.close()
    return None
