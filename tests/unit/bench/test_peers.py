"""How the peers write their statements and are understood."""

import orjson
import pytest

from bench.figures import bulk, latency
from bench.figures.throughput import COMPARED, HOURS, SUBJECTS, measures_of
from bench.load import LoadFailed
from bench.peers.pgbench import environment_of, tps_of
from bench.peers.plain import SQL, addressed, formatted, numbered
from bench.peers.tasks import QUEUE, TASK, task_of
from bench.report import SPEED
from bench.scale import FULL
from services.settlement.model import Written
from shared.messages.settle import SettleRequest
from tests.support.builders import NOW, settle

ANSWER = Written("settle", "hospital-1", "settled", None, NOW, replayed=False, text="{}")


def test_a_parameter_has_one_number_wherever_it_stands() -> None:
    assert numbered("SELECT :one, :other, :one") == ("SELECT $1, $2, $1", ("one", "other"))


def test_parameters_are_written_as_the_db_api_has_them() -> None:
    assert formatted("SELECT :one, :other_one") == "SELECT %(one)s, %(other_one)s"


def test_a_cast_is_no_parameter() -> None:
    assert formatted("SELECT now()::date") == "SELECT now()::date"
    assert numbered("SELECT now()::date") == ("SELECT now()::date", ())


@pytest.mark.parametrize("name", SQL)
def test_no_statement_can_be_taken_for_a_format(name: str) -> None:
    """One driver would read a percent sign as the beginning of a parameter."""
    assert "%" not in SQL[name]


def test_an_answer_goes_to_its_sender_or_to_the_results() -> None:
    there, everywhere = addressed(ANSWER, "reply.here"), addressed(ANSWER, None)

    assert (there.exchange, there.routing_key) == ("", "reply.here")
    assert (everywhere.exchange, everywhere.routing_key) == ("gongji.results", "settle.settled.hospital-1")


def test_what_pgbench_reaches_is_read_without_the_time_to_connect() -> None:
    said = (
        "latency average = 5.1 ms\ninitial connection time = 20.1 ms\ntps = 6250.5 (without initial connection time)\n"
    )

    assert tps_of(said) == 6_250.5


def test_a_pgbench_that_reached_nothing_is_told() -> None:
    with pytest.raises(LoadFailed):
        tps_of("pgbench: error: Run was aborted\n")


def test_pgbench_is_told_where_the_server_is_without_a_command_line() -> None:
    assert environment_of("postgresql://some%40one:se%2Fcret@127.0.0.1:5433/books") == {
        "PGHOST": "127.0.0.1",
        "PGPORT": "5433",
        "PGUSER": "some@one",
        "PGPASSWORD": "se/cret",
        "PGDATABASE": "books",
    }


def test_who_settles_is_asked_how_long_a_nation_would_take() -> None:
    echo, gongji, *_ = SUBJECTS

    assert measures_of(gongji, {SPEED: 5_046.3, "idle_part": 0.1}) == {SPEED: 5_046.3, HOURS: 12.0, "idle_part": 0.1}
    assert measures_of(echo, {SPEED: 5_046.3}) == {SPEED: 5_046.3}


def test_a_task_carries_the_bill_in_the_message_format_of_celery() -> None:
    bill = settle()

    message = task_of(bill)

    (arguments, keywords, _) = orjson.loads(message.body)
    assert [SettleRequest.model_validate_json(argument) for argument in arguments] == [bill]
    assert keywords == {}
    assert message.headers["task"] == TASK
    assert message.headers["id"] == message.correlation_id
    assert (message.exchange, message.routing_key) == ("", QUEUE)


def test_every_ratio_is_of_what_is_measured() -> None:
    """A name that nobody has would be told only after all rounds."""
    measured = {subject.name for subject in SUBJECTS} | {"pgbench"}

    assert {each.subject for each in COMPARED} | {each.base for each in COMPARED if each.base} <= measured
    assert {latency.GONGJI, latency.ONE_BY_ONE} == latency.SUBJECTS.keys()


def test_no_two_subjects_of_a_figure_share_their_requests() -> None:
    """What one has decided would be a copy to the other."""
    for subjects in (SUBJECTS, bulk.SUBJECTS):
        assert len({each.name for each in subjects}) == len(subjects)
    assert len({each.series for each in bulk.SUBJECTS}) == len(bulk.SUBJECTS)


def test_pgbench_has_the_size_that_was_asked_for() -> None:
    """Performance is not compared with a PostgreSQL that has less to do."""
    assert FULL.pgbench_scale == 50
