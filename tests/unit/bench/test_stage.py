"""Another database of the same server."""

from pathlib import Path
from typing import Any, cast

import pytest

from bench.stage import Stage
from deploy.devstack.identity import ProcessRecord
from deploy.devstack.state import Credentials, Phase, StackState, Urls


@pytest.mark.parametrize("options", ["", "?sslmode=require"])
def test_another_database_is_on_the_same_server_with_the_same_broker(options: str) -> None:
    urls = Urls(database=f"postgresql://postgres:secret@127.0.0.1:5432/gongji{options}", amqp="amqp://127.0.0.1")

    other = stage(urls).at("grown")

    assert other.database_url == f"postgresql://postgres:secret@127.0.0.1:5432/grown{options}"
    assert other.amqp_url == urls.amqp


def stage(urls: Urls) -> Stage:
    state = StackState(
        phase=Phase.READY,
        supervisor=ProcessRecord(name="supervisor", pid=1, started=0.0),
        ports={},
        credentials=Credentials(postgres_password="secret", rabbitmq_password="secret"),
        urls=urls,
        keys_directory=Path("keys"),
    )
    return Stage(Path("state"), state, cast(Any, None))
