"""Each operation is read as itself, with its own fields. Contract: "Messages", the tables of fields."""

import json
from typing import Any

import pytest

from shared.messages.catalogue import Malformed, parse
from shared.messages.envelope import Request
from tests.support.builders import credit_body, lookup_body, settle_body
from tests.support.poison import ID_NUMBER, tells_nothing, text

KEY = "settle.130100"
JSON = "application/json"
BYTES_MAX = 64 * 1024


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("settle", settle_body()),
        ("quote", settle_body()),
        ("credit", credit_body()),
        ("lookup", lookup_body()),
    ],
    ids=["settle", "quote", "credit", "lookup"],
)
def test_each_operation_is_read_as_itself(operation: str, body: dict[str, Any]) -> None:
    """The type property says what a body is."""
    request = parse(operation, f"{operation}.130100", JSON, json.dumps(body).encode())

    assert isinstance(request, Request)
    assert request.operation == operation


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("settle", credit_body()),
        ("credit", settle_body()),
        ("lookup", settle_body()),
        ("quote", lookup_body()),
    ],
    ids=["credit as settle", "settle as credit", "settle as lookup", "lookup as quote"],
)
def test_body_of_another_operation_is_malformed(operation: str, body: dict[str, Any]) -> None:
    """A body under another operation's name has unknown and missing fields."""
    found = parse(operation, f"{operation}.130100", JSON, json.dumps(body).encode())

    assert isinstance(found, Malformed)
    assert (found.readable, found.operation) == (True, operation)


@pytest.mark.parametrize(
    "fields",
    [
        {"fund": "zhangsan"},
        {"fund": None},
        {"fund": "CURRENT_YEAR"},
        {"note": "张三" * 101},
        {"note": "张三\x00"},
        {"note": 1},
        {"amount_fen": 10**11 + 1},
        {"person_id": ID_NUMBER + "张三"},
        {"occurred_at": "zhangsan"},
        {"wallet_fen": ID_NUMBER},
    ],
    ids=ascii,
)
def test_wrong_value_in_a_credit_is_malformed_and_not_told(fields: dict[str, Any]) -> None:
    """The same holds for the other operations."""
    body = json.dumps(credit_body(**fields), ensure_ascii=False).encode()

    assert tells_nothing(parse("credit", "credit.130100", JSON, body))


@pytest.mark.parametrize("value", [None, 1, "", "张三", "x" * 65, ["zhangsan"]], ids=repr)
def test_wrong_original_in_a_lookup_is_malformed_and_not_told(value: Any) -> None:
    """What a lookup speaks of is a request id like any other."""
    body = json.dumps(lookup_body(original_request_id=value)).encode()

    assert tells_nothing(parse("lookup", "lookup.130100", JSON, body))


@pytest.mark.parametrize("amount", [1, 10**11])
def test_smallest_and_largest_amount_are_read(amount: int) -> None:
    """Money is whole fen, 1 to 10^11."""
    assert isinstance(parse("settle", KEY, JSON, text(amount_fen=amount)), Request)


@pytest.mark.parametrize(
    "bill_ref", ["张三" * 32, "𠮷" * 64, "", 'a"\\/\n', None], ids=["64", "astral", "empty", "odd", "null"]
)
def test_bill_ref_of_up_to_64_characters_is_read(bill_ref: str | None) -> None:
    """Characters are counted, not bytes; any character but NUL is kept."""
    body = json.dumps(settle_body(bill_ref=bill_ref), ensure_ascii=False).encode()

    request = parse("settle", KEY, JSON, body)

    assert isinstance(request, Request)
    assert request.model_dump()["bill_ref"] == bill_ref
