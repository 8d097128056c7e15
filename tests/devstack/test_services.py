"""Steps and services, run against given servers and with stand-ins for the programs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from deploy.devstack import state
from deploy.devstack.identity import runs
from deploy.devstack.state import Phase, StackState
from tests.devstack.observation import family, none_runs, recorded, restarted, until

GIVEN = {
    "GONGJI_DATABASE_URL": "postgresql://given.invalid/gongji",
    "GONGJI_AMQP_URL": "amqp://given.invalid/",
    "GONGJI_LOG_LEVEL": "debug",
}

# A step that leaves a process behind, in a session of its own.
LEAVE = "import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True)"


@contextmanager
def supervisor(directory: Path, step: str = "") -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "tests.devstack.standins", str(directory), step]
    environment = {**os.environ, **GIVEN}
    with subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def ready(directory: Path) -> StackState:
    def is_ready() -> bool:
        current = state.read(directory)
        return current is not None and current.phase is Phase.READY

    until(is_ready, 30)
    current = state.read(directory)
    assert current is not None
    return current


def told(url: str) -> dict[str, str]:
    answer: dict[str, str] = httpx.get(f"{url}/told", trust_env=False).json()
    return answer


def test_services_are_told_what_the_table_says(directory: Path) -> None:
    with supervisor(directory):
        stack = ready(directory)
        environment = stack.environment()
        settlement = environment["GONGJI_SETTLEMENT_URLS"].split(",")
        assert len(settlement) == 2
        assert told(settlement[0]).items() >= GIVEN.items()
        binding = told(environment["GONGJI_BINDING_URL"])
        assert binding["GONGJI_JWT_PUBLIC_KEY_FILE"] == environment["GONGJI_JWT_PUBLIC_KEY_FILE"]
        assert "GONGJI_JWT_PRIVATE_KEY_FILE" not in binding


def test_given_servers_are_used_and_none_is_started(directory: Path) -> None:
    with supervisor(directory):
        stack = ready(directory)
        assert (
            stack.environment().items()
            >= {
                "GONGJI_DATABASE_URL": GIVEN["GONGJI_DATABASE_URL"],
                "GONGJI_AMQP_URL": GIVEN["GONGJI_AMQP_URL"],
            }.items()
        )
        assert "GONGJI_RABBITMQ_MANAGEMENT_URL" not in stack.environment()
        assert recorded(directory).keys() == {"settlement-1", "settlement-2", "binding"}
        assert not (directory / "postgres").exists()
        assert not (directory / "rabbitmq").exists()


def test_service_that_ends_is_started_again_on_its_port(directory: Path) -> None:
    with supervisor(directory):
        stack = ready(directory)
        killed = recorded(directory)["binding"]
        os.kill(killed, signal.SIGKILL)
        until(lambda: restarted(directory, "binding", killed), 10)
        until(lambda: answers(stack.urls.services["binding"]), 10)


def test_failing_step_is_reported_with_its_log(directory: Path) -> None:
    with supervisor(directory, "raise SystemExit('no such table')") as process:
        assert process.wait(30) == 1
        assert process.stderr is not None
        assert "migrate failed with exit code 1" in process.stderr.read()
        last = state.load(directory)
        assert last is not None
        assert last.failure is not None
        assert "no such table" in last.failure


def test_what_a_step_left_behind_ends_with_the_stack(directory: Path) -> None:
    """Nobody's child any more, in a session of its own: as a server's that was started while its server was being killed."""
    with supervisor(directory, LEAVE) as process:
        ready(directory)
        left = psutil.Process(int((directory / "logs" / "migrate.log").read_text()))
        assert runs(left)
        process.terminate()
        assert process.wait(30) == 0

    assert none_runs([left])


def test_what_was_left_behind_and_has_ended_is_reaped(directory: Path) -> None:
    with supervisor(directory, LEAVE):
        ready(directory)
        left = psutil.Process(int((directory / "logs" / "migrate.log").read_text()))
        left.kill()

        until(lambda: not psutil.pid_exists(left.pid), 30)


def test_stop_during_a_step_ends_the_step(directory: Path) -> None:
    with supervisor(directory, "import signal; signal.pause()") as process:
        until((directory / "logs" / "migrate.log").exists, 30)
        stack = state.read(directory)
        assert stack is not None
        everything = family(stack)
        process.terminate()
        assert process.wait(30) == 0
        assert none_runs(everything)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
