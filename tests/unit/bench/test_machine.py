"""What is recorded of the machine and its servers."""

from bench.machine import Moment, between, settings_of_speed
from deploy.devstack.rabbitmq import CONFIGURATION, IN_THE_CLEAR


def test_of_the_brokers_configuration_what_its_speed_may_depend_on_is_told_and_no_password() -> None:
    listener = IN_THE_CLEAR.format(host="127.0.0.1", amqp=5672)
    written = CONFIGURATION.format(
        listener=listener, host="127.0.0.1", management=15672, user="gongji", password="secret"
    )

    told = settings_of_speed(written)

    assert "raft.wal_max_size_bytes" in told
    assert not {"127.0.0.1", "secret", "gongji"} & set(told.values())


def test_of_a_round_the_checkpoints_within_it_are_told_and_how_busy_the_machine_was() -> None:
    assert between(Moment(checkpoints=7, load_average_1min=1.5), Moment(checkpoints=8, load_average_1min=2.5)) == {
        "checkpoints": 1,
        "load_average_1min_before": 1.5,
        "load_average_1min_after": 2.5,
    }
