"""Free loopback ports that stay the same from one start to the next."""

import random
import socket
from collections.abc import Iterable, Mapping

LOOPBACK = "127.0.0.1"

# Below the range the kernel hands out for outgoing connections: while a server restarts,
# nothing else is given its port, and a client polling that port cannot connect to itself.
PRIVATE_RANGE = range(20_000, 30_000)

# RabbitMQ's default for traffic between nodes; its other standard ports lie outside the range.
STANDARD_PORTS = frozenset({25_672})


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def assign(names: Iterable[str], previous: Mapping[str, int]) -> dict[str, int]:
    """One port for each name: the previous one where it is still free, else a new one."""
    names = list(names)
    chosen = {name: previous[name] for name in names if name in previous and is_free(previous[name])}
    candidates = (
        port
        # By no seed: who starts beside us with the same one would be given the same.
        for port in random.SystemRandom().sample(PRIVATE_RANGE, len(PRIVATE_RANGE))
        if port not in STANDARD_PORTS and port not in previous.values() and is_free(port)
    )
    for name in names:
        if name not in chosen:
            chosen[name] = next(candidates)
    return chosen
