"""Celery: a task a bill, prefork with 2 processes, psycopg 3, one transaction a task.

Done as a Celery team would do it: bills are sent as tasks in Celery's own message format, into a quorum queue of their
own, because a custom consumer for foreign messages runs in Celery's main process and gains nothing from its pool. The
answer goes to the same exchange as everybody's, persistent and confirmed, and the task is acknowledged after that
(`acks_late`). Tuned as the documentation advises for many short tasks: a high prefetch multiplier, no results, no events,
no gossip, mingle or heartbeat between workers; a connection to PostgreSQL for each process, statements prepared at once,
garbage collected seldom.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from celery import Celery
from celery.signals import worker_process_init, worker_ready
from psycopg.rows import dict_row

from bench.peers.environment import PeerSettings, say_ready, session_of
from bench.peers.plain import SQL, Parameters, Plain, Row, addressed, formatted, run
from bench.peers.tasks import QUEUE, TASK
from services.settlement.incoming import Sender
from shared.messages.settle import SettleRequest
from shared.runtime.lifecycle import rarely_collect_garbage, read_settings

PROCESSES, PREFETCHED = 2, 64
STATEMENTS = {name: formatted(statement) for name, statement in SQL.items()}

settings = read_settings(PeerSettings)
app = Celery("bench", broker=settings.amqp_url)
app.conf.update(
    task_default_queue=QUEUE,
    task_default_queue_type="quorum",
    task_acks_late=True,
    task_acks_on_failure_or_timeout=False,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    broker_transport_options={"confirm_publish": True},
    worker_concurrency=PROCESSES,
    worker_prefetch_multiplier=PREFETCHED,
    worker_send_task_events=False,
    worker_redirect_stdouts=False,
)
plain = Plain()
# The process's own, made after the fork.
connections: list[Any] = []


@worker_process_init.connect
def connect(**_: object) -> None:
    rarely_collect_garbage()
    session = " ".join(f"-c {name}={value}" for name, value in session_of("celery").items())
    connections.append(
        psycopg.connect(
            settings.database_url, autocommit=True, row_factory=dict_row, prepare_threshold=0, options=session
        )
    )


@worker_ready.connect
def ready(**_: object) -> None:
    say_ready()


@app.task(name=TASK)
def settle(bill: str) -> None:
    """One bill, decided in a transaction of its own."""
    (connection,) = connections

    def execute(name: str, parameters: Parameters) -> Sequence[Row]:
        cursor = connection.execute(STATEMENTS[name], parameters)
        rows: Sequence[Row] = cursor.fetchall() if cursor.description else ()
        return rows

    with connection.transaction():
        answer = run(plain.settlement(SettleRequest.model_validate_json(bill), Sender()), execute)
    to = addressed(answer, None)
    with app.producer_or_acquire() as producer:
        producer.publish(
            to.body,
            exchange=to.exchange,
            routing_key=to.routing_key,
            delivery_mode="persistent",
            content_type="application/json",
            content_encoding="utf-8",
            mandatory=True,
            type=to.type,
        )


if __name__ == "__main__":
    app.worker_main(["worker", "--loglevel=WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"])
