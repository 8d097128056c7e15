"""Type, routing key and content type of a message. Contract: "Messages"."""

import pytest

from shared.messages.catalogue import Malformed, parse
from shared.messages.envelope import Request
from tests.support.poison import ID_NUMBER, tells_nothing, text

KEY = "settle.130100"
JSON = "application/json"
BYTES_MAX = 64 * 1024


@pytest.mark.parametrize(
    "operation",
    [None, "", "Settle", " settle", "settle ", "settle.result", "zhangsan", ID_NUMBER, "settle\x00", "张三"],
    ids=ascii,
)
def test_missing_or_unknown_type_is_malformed(operation: str | None) -> None:
    """`type` is the operation; the sender can still be answered by name."""
    found = parse(operation, f"{operation}.130100", JSON, text())

    assert tells_nothing(found)
    assert isinstance(found, Malformed)
    assert (found.readable, found.operation) == (True, None)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param(JSON, b"\xff", id="no JSON"),
        pytest.param("text/plain", text(), id="wrong content type"),
        pytest.param(JSON, text() + b" " * BYTES_MAX, id="too large"),
    ],
)
def test_unknown_type_is_no_operation_whatever_else_is_wrong(content_type: str, body: bytes) -> None:
    """The operation becomes a metric label and a routing key: nothing but a known one may."""
    found = parse("zhangsan", "zhangsan.130100", content_type, body)

    assert tells_nothing(found)
    assert isinstance(found, Malformed)
    assert found.operation is None


@pytest.mark.parametrize(
    "routing_key",
    [
        "",
        "settle",
        "settle.",
        ".130100",
        "quote.130100",
        "Settle.130100",
        "settle.130101",
        "settle.13",
        "settle.110000",
        "settle.130100.1",
        "settle..130100",
        "settle.130100 ",
        "settle 130100",
        "130100.settle",
        f"settle.{ID_NUMBER}",
        "settle.zhangsan",
    ],
    ids=repr,
)
def test_routing_key_must_be_operation_and_region(routing_key: str) -> None:
    """Other than `<type>.<insured_region>` it is malformed; the sender can be answered."""
    found = parse("settle", routing_key, JSON, text())

    assert tells_nothing(found)
    assert isinstance(found, Malformed)
    assert (found.readable, found.operation) == (True, "settle")


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "Application/JSON",
    ],
    ids=repr,
)
def test_content_type_json_or_none_is_read(content_type: str | None) -> None:
    """content_type, where given, is JSON; media types are written in any case and may name UTF-8."""
    assert isinstance(parse("settle", KEY, content_type, text()), Request)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/plain; charset=utf-8",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "application/jsonl",
        "json",
        "application",
        "; charset=utf-8",
        "zhangsan; application/json",
        ID_NUMBER,
    ],
    ids=repr,
)
def test_content_type_that_is_not_json_is_malformed(content_type: str) -> None:
    """Whatever the body is: where it is said not to be JSON it is not read as a request."""
    found = parse("settle", KEY, content_type, text())

    assert tells_nothing(found)
    assert isinstance(found, Malformed)
    assert found.readable


@pytest.mark.parametrize("charset", ["utf-16", "gb18030", "latin-1"])
def test_content_type_that_names_another_encoding_does_not_change_the_encoding(charset: str) -> None:
    """JSON is UTF-8: a body in the encoding that its content type names is not read."""
    body = text(bill_ref="é 张三" if charset != "latin-1" else "é")
    encoded = body.decode().replace("张三 Zhang", "").encode(charset, errors="replace")

    assert tells_nothing(parse("settle", KEY, f"{JSON}; charset={charset}", encoded))
