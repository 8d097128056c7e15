"""Where RabbitMQ's programs are, and how they get there."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.devstack.failure import StackFailed

# Debian's `rabbitmq-server` in the PATH insists on its own account and folders; this one does not.
DEBIAN_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
SERVICE_POLICY = Path("/usr/sbin/policy-rc.d")
ACTION_FORBIDDEN = 101


def rabbitmq_server(tell: Callable[[str], None]) -> Path:
    """The start script of RabbitMQ; on Debian and Ubuntu root installs what is missing."""
    found = find_server()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install(tell)
        found = find_server()
    if found is None:
        raise StackFailed(
            "RabbitMQ is not installed: run `sudo apt-get install rabbitmq-server` (or what your "
            "system has in its place), or set GONGJI_AMQP_URL to a server you have"
        )
    return found


def find_server() -> Path | None:
    if DEBIAN_SERVER.is_file():
        return DEBIAN_SERVER
    elsewhere = shutil.which("rabbitmq-server")
    return Path(elsewhere).resolve() if elsewhere else None


def install(tell: Callable[[str], None]) -> None:
    with packaged_services_not_started():
        for argv in (
            ("apt-get", "update"),
            ("apt-get", "install", "-y", "--no-install-recommends", "rabbitmq-server"),
        ):
            tell(f"RabbitMQ is not installed, running: {' '.join(argv)}")
            result = subprocess.run(  # noqa: S603 - the fixed commands above
                argv,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                check=False,
            )
            if result.returncode != 0:
                raise StackFailed(f"`{' '.join(argv)}` failed with exit code {result.returncode}")
    if Path("/run/systemd/system").is_dir():
        tell(
            "The packaged service is not running but starts at the next boot; "
            "`systemctl disable rabbitmq-server` prevents that"
        )


@contextmanager
def packaged_services_not_started() -> Iterator[None]:
    """Keep a package's installation from starting its service on the standard ports.

    Debian's own hook for this, present only while the package is installed; where the machine
    has a policy already, that policy decides.
    """
    if SERVICE_POLICY.exists():
        yield
        return
    SERVICE_POLICY.write_text(f"#!/bin/sh\nexit {ACTION_FORBIDDEN}\n")
    SERVICE_POLICY.chmod(0o755)
    try:
        yield
    finally:
        SERVICE_POLICY.unlink(missing_ok=True)
