"""What is recorded of the machine and its servers."""

from pathlib import Path

import pytest

from bench import machine
from bench.machine import Moment, NotDurable, between, durable_file_system, settings_of_speed
from deploy.devstack.rabbitmq import CONFIGURATION, IN_THE_CLEAR


def test_of_the_brokers_configuration_what_its_speed_may_depend_on_is_told_and_no_password() -> None:
    listener = IN_THE_CLEAR.format(host="127.0.0.1", amqp=5672)
    written = CONFIGURATION.format(
        listener=listener, host="127.0.0.1", management=15672, user="gongji", password="secret"
    )

    told = settings_of_speed(written)

    assert "raft.wal_max_size_bytes" in told
    assert not {"127.0.0.1", "secret", "gongji"} & set(told.values())


def test_of_a_round_is_told_what_held_everybody_up_and_how_busy_the_machine_was() -> None:
    before = Moment(checkpoints=7, log_segments=40, load_average_1min=1.5)
    after = Moment(checkpoints=8, log_segments=42, load_average_1min=2.5)

    assert between(before, after) == {
        "checkpoints": 1,
        "log_segments_made": 2,
        "load_average_1min_before": 1.5,
        "load_average_1min_after": 2.5,
    }


def test_segments_of_the_log_that_were_taken_away_are_not_told_as_made() -> None:
    before = Moment(checkpoints=7, log_segments=40, load_average_1min=1.5)
    after = Moment(checkpoints=8, log_segments=38, load_average_1min=1.5)

    assert between(before, after)["log_segments_made"] == 0


@pytest.mark.parametrize("path", ["/data", "/data/bench", "/data/memory/../bench"])
def test_the_file_system_is_that_of_the_nearest_mount(path: str) -> None:
    mounted = {"/": "overlay", "/data": "ext4", "/data/memory": "tmpfs"}

    assert durable_file_system(Path(path).resolve(), mounted) == "ext4"


def test_data_in_memory_is_not_durable() -> None:
    with pytest.raises(NotDurable, match=r"/data/memory/bench lies in memory \(tmpfs\)"):
        durable_file_system(Path("/data/memory/bench"), {"/": "ext4", "/data/memory": "tmpfs"})


@pytest.mark.parametrize(
    ("at_first", "now", "told"),
    [
        ("0123", "0123", "0123"),
        ("0123", "0123 with changes", "0123 with changes"),
        ("0123", "4567", "0123 with changes"),
        ("0123 with changes", "0123 with changes", "0123 with changes"),
        ("0123 with changes", "0123", "0123 with changes"),
    ],
)
def test_a_result_is_of_a_commit_only_if_it_was_the_same_to_the_end(
    at_first: str, now: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "commit", lambda: now)

    assert machine.still({"cores": 2, "commit": at_first}) == {"cores": 2, "commit": told}
