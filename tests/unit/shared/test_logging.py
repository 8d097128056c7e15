"""Logs: JSON, and no personal data however it gets there."""

import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from shared.telemetry.logging import REDACTED, configure_logging, redact

ID_NUMBER = "130102199003071234"


@pytest.fixture
def restored() -> Iterator[None]:
    """Logging is afterwards as it was before."""
    before = structlog.get_config()
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


PERSONAL = {
    "a name": {"name": "张三"},
    "deep": {"person": {"name": "张三", "id_number": ID_NUMBER}},
    "an id number in a text": {"note": f"patient {ID_NUMBER} came"},
    "with a check letter": {"note": "13010219900307123x"},
    "in a list": {"people": [{"credential": {"type": "02", "person_id": "张三"}}]},
    "a header": {"headers": {"Authorization": "张三"}},
    "a url": {"url": "amqp://gongji:张三@127.0.0.1/"},
    "a body": {"body": "张三".encode()},
}


@pytest.mark.parametrize("event", PERSONAL.values(), ids=PERSONAL)
def test_personal_data_is_redacted(event: dict[str, Any]) -> None:
    """By name, by shape and inside urls, however deep."""
    text = json.dumps(redact(event), ensure_ascii=False, default=str)

    assert "张三" not in text
    assert ID_NUMBER not in text
    assert "13010219900307123x" not in text
    assert REDACTED in text


def test_what_is_not_personal_stays() -> None:
    """Request and settlement ids, amounts and reasons are what a log is for."""
    event = {
        "request_id": "20261122-000017",
        "settlement_id": "13-019ac0ffee007abc8def0123456789ab",
        "amount_fen": 12850,
        "reason": "no_binding",
        "person_id": "P130100000042",
    }

    assert redact(event) == event


@pytest.mark.usefixtures("restored")
def test_a_line_is_one_json_object_with_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    """Also with an exception: which one and where, and after which other."""
    configure_logging("info", service="test")
    log = structlog.get_logger()

    try:
        _fail()
    except RuntimeError:
        log.exception("request_poisoned", request_id="r1", name="张三")
    lines = capsys.readouterr().out.splitlines()

    written = json.loads(lines[0])
    assert len(lines) == 1
    assert (written["service"], written["event"], written["request_id"]) == ("test", "request_poisoned", "r1")
    assert re.fullmatch(r".* _fail\nKeyError\nand then\n.* _fail\nRuntimeError", written["exception"], re.DOTALL)


def test_what_an_exception_says_is_not_logged(capsys: pytest.CaptureFixture[str], restored: None) -> None:
    """Its words may repeat what somebody sent: by the project's loggers and by the libraries'."""
    configure_logging("info", service="test")

    for log in (structlog.get_logger(), logging.getLogger("uvicorn.error")):
        try:
            _fail()
        except RuntimeError:
            log.exception("failed")
    written = capsys.readouterr().out

    assert written.count("RuntimeError") == 2
    assert "欧阳" not in written
    assert "secret" not in written


def _fail() -> None:
    words = {"欧阳": "secret"}
    try:
        words["DETAIL: Failing row contains (欧阳, secret)"]
    except KeyError as error:
        raise RuntimeError("欧阳", "secret") from error


def test_another_stream_has_all_of_it(capsys: pytest.CaptureFixture[str], restored: None) -> None:
    """A command's stdout is its answer's alone."""
    configure_logging("info", service="test", stream=sys.stderr)

    structlog.get_logger().info("began")
    logging.getLogger("uvicorn.error").warning("ended")
    written = capsys.readouterr()

    assert written.out == ""
    assert [json.loads(line)["event"] for line in written.err.splitlines()] == ["began", "ended"]


@pytest.mark.usefixtures("restored")
def test_the_libraries_loggers_are_redacted_too(capsys: pytest.CaptureFixture[str]) -> None:
    """uvicorn and the rest go the same way."""
    configure_logging("info", service="test")

    logging.getLogger("uvicorn.error").warning("connection to amqp://user:secret@host lost for %s", ID_NUMBER)

    written = json.loads(capsys.readouterr().out)
    assert written["event"] == f"connection to amqp://{REDACTED}@host lost for {REDACTED}"
