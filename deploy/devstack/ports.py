"""Loopback ports that nobody else is given, and that stay the same from one start to the next."""

import random
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

LOOPBACK = "127.0.0.1"

# Below the range the kernel hands out for outgoing connections: while a server restarts,
# nothing else is given its port, and a client polling that port cannot connect to itself.
PRIVATE_RANGE = range(20_000, 30_000)

# RabbitMQ's default for traffic between nodes; its other standard ports lie outside the range.
STANDARD_PORTS = frozenset({25_672})


@contextmanager
def claimed(names: Iterable[str], previous: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """One port for each name, which no other claim is given while the block lasts: the previous one where it is free, else a new one.

    A server is started, or started again, some time after its port was chosen; another stack that starts meanwhile
    would choose among the same.
    """
    with ExitStack() as claims:
        new = _new(but=previous.values())
        chosen = {}
        for name in names:
            kept = _claim(previous[name], after_use=True) if name in previous else None
            chosen[name] = claims.enter_context(kept or next(new)).getsockname()[1]
        yield chosen


def _new(but: Iterable[int]) -> Iterator[socket.socket]:
    taken = STANDARD_PORTS.union(but)
    # By no seed: who starts beside us with the same one would be given the same.
    for port in random.SystemRandom().sample(PRIVATE_RANGE, len(PRIVATE_RANGE)):
        if port not in taken and (claim := _claim(port)):
            yield claim


def _claim(port: int, *, after_use: bool = False) -> socket.socket | None:
    """A socket bound to the port, beside which a server can listen but no port is claimed anew; None where somebody has it.

    `after_use` grants it too where connections to an earlier server are still being forgotten, or somebody else has claimed it since.
    """
    claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if after_use:
            claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        claim.bind((LOOPBACK, port))
    except OSError:
        claim.close()
        return None
    # Set only now: it lets in who asks for the same, as every server does, and had we asked we would have been let in beside a claim.
    claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return claim
