"""The parts of the stack that need no server."""

import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from deploy.devstack import installation, ports, postgres, state
from deploy.devstack.failure import StackFailed, last_lines
from deploy.devstack.identity import ProcessRecord
from deploy.devstack.keys import KeyFiles
from deploy.devstack.lock import held
from deploy.devstack.plan import claimed_ports, first_state
from deploy.devstack.stack import gongji
from deploy.devstack.supervisor import end_orphans


def test_ports_stay_unless_taken() -> None:
    with ports.claimed(["a", "b"], {}) as first:
        pass
    assert len(set(first.values())) == 2
    assert set(first.values()) <= set(ports.PRIVATE_RANGE)
    with socket.create_server((ports.LOOPBACK, first["b"])), ports.claimed(["a", "b", "c"], first) as second:
        pass
    assert second["a"] == first["a"]
    assert second["b"] != first["b"]
    assert len(set(second.values())) == 3


def test_a_port_that_is_claimed_is_given_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [str(number) for number in range(20)]
    with ports.claimed(names, {}) as free:
        pass
    monkeypatch.setattr(ports, "PRIVATE_RANGE", list(free.values()))

    with ports.claimed(names[:10], {}) as first:
        for port in first.values():
            # A server that comes and goes leaves the claim as it was.
            socket.create_server((ports.LOOPBACK, port)).close()
        with ports.claimed(names[10:], {}) as second:
            given = [*first.values(), *second.values()]

    assert sorted(given) == sorted(free.values())


def test_a_port_that_is_remembered_is_not_taken_from_whoever_has_claimed_it() -> None:
    """A state directory that was copied, say: both remember the same."""
    with ports.claimed(["a"], {}) as first, ports.claimed(["a"], first) as second:
        pass

    assert second["a"] != first["a"]


def test_where_no_port_is_left_it_says_which_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with ports.claimed(["a"], {}) as free:
        pass
    monkeypatch.setattr(ports, "PRIVATE_RANGE", range(free["a"], free["a"] + 1))

    with pytest.raises(StackFailed, match=f"no port is free from {free['a']} to"), ports.claimed(["a", "b"], {}):
        pass


def test_keys_are_made_once_and_for_their_owner(tmp_path: Path) -> None:
    keys = KeyFiles(tmp_path / "keys")
    keys.create_missing()
    private, ring = keys.jwt_private.read_bytes(), keys.ring.read_bytes()
    load_pem_private_key(private, password=None)
    load_pem_public_key(keys.jwt_public.read_bytes())
    for path in (keys.jwt_private, keys.ring):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    keys.create_missing()
    assert (keys.jwt_private.read_bytes(), keys.ring.read_bytes()) == (private, ring)


def test_process_is_recognised_by_pid_and_start_time() -> None:
    record = ProcessRecord.of("this", os.getpid())
    assert record.process() is not None
    assert record.model_copy(update={"started": record.started - 60}).process() is None


@pytest.mark.parametrize(
    ("workers", "said", "lanes"), [(1, None, None), (1, "3", None), (2, None, "1"), (8, None, "1"), (8, "3", "3")]
)
def test_workers_that_share_a_queue_have_a_lane_each(
    monkeypatch: pytest.MonkeyPatch, workers: int, said: str | None, lanes: str | None
) -> None:
    """A lone worker is told nothing: it has what the environment, or else the setting's default, says."""
    monkeypatch.delenv("GONGJI_LANES", raising=False)
    if said:
        monkeypatch.setenv("GONGJI_LANES", said)

    services = {service.name: service.settings for service in gongji(workers).services}

    assert {services[f"settlement-{number}"].get("GONGJI_LANES") for number in range(1, workers + 1)} == {lanes}
    assert {services[name].get("GONGJI_LANES") for name in ("bulk", "inquiry")} == {None}


@pytest.mark.parametrize(("workers", "told"), [(1, (None, None)), (4, (None, None)), (5, ("100", "200"))])
def test_many_workers_that_share_a_queue_have_less_in_hand_each(
    monkeypatch: pytest.MonkeyPatch, workers: int, told: tuple[str | None, str | None]
) -> None:
    """Else the last to be answered comes long after its turn."""
    for name in ("GONGJI_BATCH_MAX", "GONGJI_PREFETCH"):
        monkeypatch.delenv(name, raising=False)

    (settings, *_) = (service.settings for service in gongji(workers).services if service.name == "settlement-1")

    assert (settings.get("GONGJI_BATCH_MAX"), settings.get("GONGJI_PREFETCH")) == told


def test_unreadable_state_says_what_to_do(tmp_path: Path) -> None:
    state.state_file(tmp_path).write_text("{")
    with pytest.raises(StackFailed, match=r"remove .* to start afresh"):
        state.load(tmp_path)


def test_orphans_are_ended_but_not_whoever_has_their_pid_now(tmp_path: Path) -> None:
    stack = gongji(1)
    idle = [sys.executable, "-c", "import signal; signal.pause()"]
    with claimed_ports(stack, None) as assigned:
        initial = first_state(tmp_path, stack, None, assigned)
    with subprocess.Popen(idle) as orphan, subprocess.Popen(idle) as stranger:
        other = ProcessRecord.of("other", stranger.pid)
        left = initial.model_copy(
            update={
                "processes": (
                    ProcessRecord.of("ours", orphan.pid),
                    other.model_copy(update={"started": other.started - 60}),
                )
            }
        )
        end_orphans(left)
        assert orphan.wait(5) != 0
        assert stranger.poll() is None
        stranger.kill()


def test_pid_file_of_another_process_is_discarded(tmp_path: Path) -> None:
    pid_file = tmp_path / "postmaster.pid"
    record = ProcessRecord.of("this", os.getpid())
    pid_file.write_text(f"{os.getpid()}\n/data\n{record.started:.0f}\n")
    postgres.discard_foreign_pid_file(tmp_path)
    assert pid_file.exists()
    pid_file.write_text(f"{os.getpid()}\n/data\n{record.started - 3600:.0f}\n")
    postgres.discard_foreign_pid_file(tmp_path)
    assert not pid_file.exists()


def test_lock_is_exclusive(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path):
        began = time.monotonic()
        with pytest.raises(StackFailed, match="another process"), held(path, timeout_s=0.3):
            pass
        assert time.monotonic() - began >= 0.3
    with held(path):
        pass


def test_missing_servers_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StackFailed, match=r"postgresql-9\.4"):
        postgres.binaries("9.4")
    monkeypatch.setattr(installation, "find_server", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StackFailed, match="sudo apt-get install rabbitmq-server"):
        installation.rabbitmq_server(print)


def test_service_policy_is_there_only_during_an_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(installation, "SERVICE_POLICY", policy)
    with installation.packaged_services_not_started():
        assert subprocess.run([policy], check=False).returncode == 101
    assert not policy.exists()
    policy.write_text("the machine's own")
    with installation.packaged_services_not_started():
        pass
    assert policy.read_text() == "the machine's own"


def test_last_lines_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "some.log"
    assert last_lines(log) == "(nothing was logged)"
    log.write_text("".join(f"{number}\n" for number in range(100)))
    assert last_lines(log, 2) == "98\n99"
