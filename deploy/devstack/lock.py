"""A lock file: held by one process at a time, and given back by the kernel when it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.devstack.failure import StackFailed

POLL_S = 0.1


@contextmanager
def held(path: Path, *, timeout_s: float = 0.0) -> Iterator[None]:
    """Hold the lock; raises StackFailed when another process still does after the timeout."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + timeout_s
        while not taken(descriptor):
            if time.monotonic() >= deadline:
                raise StackFailed(f"another process holds {path}: try again when it is done")
            time.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


def taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
