"""Whatever arrives is a request or a Malformed that tells nothing of the body. Contract: "Messages"."""

from typing import Any

import pytest

from shared.messages.catalogue import BULK_QUEUE, SETTLEMENT_QUEUE, Malformed, not_kept, parse
from shared.messages.envelope import Request
from tests.support.builders import settle_body
from tests.support.poison import ID_NUMBER, raw, tells_nothing, text, with_member, without

KEY = "settle.130100"
NAME = {"request_id", "institution_id"}
JSON = "application/json"
BYTES_MAX = 64 * 1024

NOT_JSON = {
    "empty": b"",
    "blank": b" \n",
    "NUL": b"\x00",
    "a NUL in front": b"\x00" + text(),
    "a NUL behind": text() + b"\x00",
    "words": b"\xe5\xbc\xa0\xe4\xb8\x89 130102199003071234",
    "XML": b"<person><name>\xe5\xbc\xa0\xe4\xb8\x89</name></person>",
    "form": b"person_id=130102199003071234&name=zhangsan",
    "cut off": text()[:-1],
    "cut off in a name": text()[: text().index("张".encode()) + 1],
    "two requests": text() + text(),
    "lines of requests": text() + b"\n" + text(),
    "trailing comma": text()[:-1] + b",}",
    "single quotes": text().replace(b'"', b"'"),
    "comment": b"/* zhangsan */" + text(),
    "unquoted key": text().replace(b'"amount_fen"', b"amount_fen"),
    "Python's words": text().replace(b'"bill_ref": ', b'"require_full": True, "bill_ref": '),
    "NaN": raw(amount_fen="NaN"),
    "Infinity": raw(amount_fen="Infinity"),
    "-Infinity": raw(amount_fen="-Infinity"),
    "NaN that a later value hides": with_member('"amount_fen":NaN'),
    "Infinity that a later value hides": with_member('"amount_fen":Infinity'),
    "-Infinity that a later value hides": with_member('"amount_fen":-Infinity'),
    "leading zero": raw(amount_fen="0100"),
    "leading plus": raw(amount_fen="+100"),
    "leading point": raw(amount_fen=".5"),
    "trailing point": raw(amount_fen="100."),
    "hexadecimal": raw(amount_fen="0x64"),
    "underscore": raw(amount_fen="10_000"),
    "raw newline in a string": raw(bill_ref='"zhangsan\n"'),
    "raw NUL in a string": raw(bill_ref='"zhangsan\x00"'),
    "unknown escape": raw(bill_ref=r'"zhangsan\x41"'),
    "lone high surrogate": raw(bill_ref=r'"zhangsan\ud800"'),
    "lone low surrogate": raw(bill_ref=r'"zhangsan\udc00"'),
    "surrogates the wrong way round": raw(bill_ref=r'"\udc00\ud800"'),
    "lone surrogate in a key": with_member(r'"\ud800":1'),
    "half a surrogate": raw(bill_ref=r'"\ud8"'),
    "deep lists": b"[" * 30_000,
    "deep objects": b'{"zhangsan":' * 5_000,
    "deep and closed": b"[" * 30_000 + b"]" * 30_000,
    "UTF-8 BOM": b"\xef\xbb\xbf" + text(),
    "UTF-16": text().decode().encode("utf-16"),
    "UTF-16 little end first": text().decode().encode("utf-16-le"),
    "UTF-16 big end first": text().decode().encode("utf-16-be"),
    "UTF-32": text().decode().encode("utf-32"),
    "GB 18030": text().decode().encode("gb18030"),
    "Latin-1": text(bill_ref="Zhangsan é").decode().replace("张三", "").encode("latin-1"),
    "surrogate in UTF-8": raw().replace("张".encode(), b"\xed\xa0\x80"),
    "overlong UTF-8": raw().replace("张".encode(), b"\xc0\xaf"),
    "beyond Unicode": raw().replace("张".encode(), b"\xf4\x90\x80\x80"),
    "bad UTF-8 in a key": with_member(b'"\xff":1'),
    "bad UTF-8 between fields": text().replace(b", ", b",\xa0"),
}

NO_REQUEST = {
    "null": b"null",
    "true": b"true",
    "number": b"130102199003071234",
    "string": '"张三"'.encode(),
    "list": b"[" + text() + b"]",
    "empty list": b"[]",
    "empty object": b"{}",
    "request in an envelope": b'{"request":' + text() + b"}",
}

WRONG_VALUES: dict[str, dict[str, str]] = {
    "amount zero": {"amount_fen": "0"},
    "amount minus zero": {"amount_fen": "-0"},
    "amount negative": {"amount_fen": "-1"},
    "amount over the most": {"amount_fen": "100000000001"},
    "amount beyond 64 bits": {"amount_fen": "9223372036854775808"},
    "amount of forty digits": {"amount_fen": "9" * 40},
    "amount of five thousand digits": {"amount_fen": "9" * 5_000},
    "amount with a huge exponent": {"amount_fen": "1e999999999"},
    "bill_ref deeply nested": {"bill_ref": "[" * 20_000 + "]" * 20_000},
    "amount with a fraction": {"amount_fen": "100.5"},
    "amount as a whole float": {"amount_fen": "100.0"},
    "amount with an exponent": {"amount_fen": "1e2"},
    "amount as a string": {"amount_fen": '"100"'},
    "amount true": {"amount_fen": "true"},
    "amount null": {"amount_fen": "null"},
    "amount list": {"amount_fen": "[100]"},
    "flag null": {"use_own_account": "null"},
    "flag 1": {"use_own_account": "1"},
    "flag 0": {"use_mutual_aid": "0"},
    "flag as a string": {"use_mutual_aid": '"true"'},
    "flag yes": {"require_full": '"yes"'},
    "request_id null": {"request_id": "null"},
    "request_id number": {"request_id": ID_NUMBER},
    "request_id empty": {"request_id": '""'},
    "request_id too long": {"request_id": f'"{"x" * 65}"'},
    "request_id with a name": {"request_id": '"张三"'},
    "request_id with a blank": {"request_id": '"zhangsan 1"'},
    "request_id with a newline behind": {"request_id": '"zhangsan\\n"'},
    "request_id with other digits": {"request_id": '"R-１"'},
    "institution_id with a point": {"institution_id": '"zhangsan.1"'},
    "institution_id too long": {"institution_id": f'"{"x" * 31}"'},
    "person_id number": {"person_id": ID_NUMBER},
    "person_id too long": {"person_id": f'"{ID_NUMBER * 2}"'},
    "person_id name": {"person_id": '"张三"'},
    "person_id with a blank": {"person_id": f'"{ID_NUMBER} "'},
    "person_id list": {"person_id": f'["{ID_NUMBER}"]'},
    "region five digits": {"insured_region": '"13010"'},
    "region seven digits": {"insured_region": '"1301000"'},
    "region number": {"insured_region": "130100"},
    "region in other digits": {"insured_region": '"１３０１００"'},
    "care region missing its end": {"care_region": '"1301"'},
    "care region name": {"care_region": '"张三家"'},
    "expense unknown": {"expense_type": '"zhangsan"'},
    "expense in capitals": {"expense_type": '"OUTPATIENT"'},
    "expense null": {"expense_type": "null"},
    "expense object": {"expense_type": '{"zhangsan":1}'},
    "credential null": {"credential": "null"},
    "credential string": {"credential": f'"{ID_NUMBER}"'},
    "credential list": {"credential": f'["01","{ID_NUMBER}"]'},
    "credential of nobody": {"credential": '{"type":"01"}'},
    "credential type 04": {"credential": f'{{"type":"04","person_id":"{ID_NUMBER}"}}'},
    "credential type 1": {"credential": f'{{"type":"1","person_id":"{ID_NUMBER}"}}'},
    "credential type as a number": {"credential": f'{{"type":1,"person_id":"{ID_NUMBER}"}}'},
    "credential of a name": {"credential": '{"type":"02","person_id":"张三"}'},
    "credential with more": {"credential": f'{{"type":"02","person_id":"p","号码":"{ID_NUMBER}"}}'},
    "bill_ref too long": {"bill_ref": '"' + "张三" * 33 + '"'},
    "bill_ref number": {"bill_ref": ID_NUMBER},
    "bill_ref with a NUL": {"bill_ref": r'"张三\u0000"'},
    "unknown field": {"full_name": '"张三"'},
    "unknown field null": {"full_name": "null"},
    "name as a key": {"张三": "1"},
    "name as a key, escaped": {r"\u5f20\u4e09": "1"},
    "name in Latin letters as a key": {"zhangsan": "1"},
    "ID number as a key": {ID_NUMBER: "1"},
    "personal key in the credential": {
        "credential": f'{{"type":"01","person_id":"p","{ID_NUMBER}":"张三"}}',
    },
    "empty key": {"": '"张三"'},
    "blank around a key": {" amount_fen ": "1"},
    "key in capitals": {"AMOUNT_FEN": "1"},
    "operation in the body": {"operation": '"settle"'},
}

WRONG_TIMES = {
    "no offset": "2026-11-22T09:30:00",
    "no time": "2026-11-22",
    "no seconds": "2026-11-22T09:30+08:00",
    "blank for T": "2026-11-22 09:30:00+08:00",
    "offset without a colon": "2026-11-22T09:30:00+0800",
    "offset of hours only": "2026-11-22T09:30:00+08",
    "offset of a day": "2026-11-22T09:30:00+24:00",
    "offset minute 60": "2026-11-22T09:30:00+08:60",
    "named zone": "2026-11-22T09:30:00[Asia/Shanghai]",
    "blank before the offset": "2026-11-22T09:30:00 +08:00",
    "blank around": " 2026-11-22T09:30:00+08:00 ",
    "newline behind": "2026-11-22T09:30:00+08:00\n",
    "basic format": "20261122T093000+0800",
    "week date": "2026-W47-7T09:30:00+08:00",
    "two-digit year": "26-11-22T09:30:00+08:00",
    "month 13": "2026-13-22T09:30:00+08:00",
    "month 0": "2026-00-22T09:30:00+08:00",
    "day 31 of November": "2026-11-31T09:30:00+08:00",
    "29 February of a common year": "2026-02-29T09:30:00+08:00",
    "hour 24": "2026-11-22T24:00:00+08:00",
    "minute 60": "2026-11-22T09:60:00+08:00",
    "second 61": "2026-11-22T09:30:61+08:00",
    "comma fraction": "2026-11-22T09:30:00,5+08:00",
    "empty fraction": "2026-11-22T09:30:00.+08:00",
    "before the first day in UTC": "0001-01-01T00:00:00+08:00",
    "after the last day in UTC": "9999-12-31T23:59:59-08:00",
    "five-digit year": "12026-11-22T09:30:00+08:00",
    "other digits": "２０２６-11-22T09:30:00+08:00",
    "words": "zhangsan, 张三",
    "ID number": ID_NUMBER,
    "empty": "",
}

GOOD_TIMES = {
    "Shanghai": "2026-11-22T09:30:00+08:00",
    "UTC": "2026-11-22T01:30:00Z",
    "lower case": "2026-11-22t01:30:00z",
    "unknown local offset": "2026-11-22T01:30:00-00:00",
    "milliseconds": "2026-11-22T01:30:00.000Z",
    "nanoseconds": "2026-11-22T01:30:00.000000000Z",
    "odd offset": "2026-11-22T07:15:00+05:45",
    "day before": "2026-11-21T18:30:00-07:00",
    "widest offset": "2026-11-23T01:29:00+23:59",
}


def test_the_good_neighbour_is_a_request() -> None:
    """The body that all the poison here is made of is read."""
    request = parse("settle", KEY, JSON, text())

    assert isinstance(request, Request)
    assert (request.request_id, request.insured_region) == ("R-1", "130100")


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_is_malformed_and_unreadable(body: bytes) -> None:
    """What is no JSON in UTF-8 has no sender to answer by name."""
    found = parse("settle", KEY, JSON, body)

    assert tells_nothing(found)
    assert isinstance(found, Malformed)
    assert not found.readable


@pytest.mark.parametrize("body", NO_REQUEST.values(), ids=NO_REQUEST)
def test_json_that_is_no_request_is_malformed_and_unreadable(body: bytes) -> None:
    """JSON without an institution and a request id has no sender to answer by name."""
    found = parse("settle", KEY, JSON, body)

    assert tells_nothing(found)
    assert isinstance(found, Malformed)
    assert not found.readable


@pytest.mark.parametrize("fields", WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_wrong_value_is_malformed_and_not_told(fields: dict[str, str]) -> None:
    """No value is coerced, no unknown field is let through, and none of it is repeated."""
    assert tells_nothing(parse("settle", KEY, JSON, raw(**fields)))


def test_a_body_that_is_wrong_all_over_is_told_in_few_words() -> None:
    """To list thousands of mistakes takes longer than to find them, and holds up the neighbours."""
    junk = {f"field_{number}": "0" for number in range(3_000)}

    found = parse("settle", KEY, JSON, raw(**junk))

    assert tells_nothing(found)
    assert isinstance(found, Malformed)
    assert found.problems == "body: 3000 things in it are wrong"
    assert found.readable


@pytest.mark.parametrize("time", WRONG_TIMES.values(), ids=WRONG_TIMES)
def test_what_is_no_rfc3339_time_with_an_offset_is_malformed(time: str) -> None:
    """Times are RFC 3339 with an offset."""
    found = parse("settle", KEY, JSON, text(occurred_at=time))

    assert tells_nothing(found)
    assert isinstance(found, Malformed)
    assert found.readable


@pytest.mark.parametrize("time", [1795311000, 1795311000.5, True, None, ["2026-11-22T01:30:00Z"]], ids=repr)
def test_time_that_is_no_string_is_malformed(time: Any) -> None:
    """Seconds since an epoch are no RFC 3339 time."""
    assert tells_nothing(parse("settle", KEY, JSON, text(occurred_at=time)))


@pytest.mark.parametrize("time", GOOD_TIMES.values(), ids=GOOD_TIMES)
def test_rfc3339_time_is_the_moment_that_it_names(time: str) -> None:
    """Every spelling of one moment is that moment."""
    request = parse("settle", KEY, JSON, text(occurred_at=time))

    assert isinstance(request, Request)
    assert request.occurred_at.isoformat() == "2026-11-22T01:30:00+00:00"


@pytest.mark.parametrize("name", sorted(settle_body().keys() - NAME))
def test_missing_field_is_named(name: str) -> None:
    """The sender is told which field is missing, and is answered by name."""
    found = parse("settle", KEY, JSON, without(name))

    assert tells_nothing(found)
    assert isinstance(found, Malformed)
    assert name in found.problems
    assert (found.operation, found.request_id, found.institution_id) == ("settle", "R-1", "hospital-1")


@pytest.mark.parametrize("name", ["request_id", "institution_id"])
def test_without_a_name_it_is_unreadable(name: str) -> None:
    """Without institution or request id there is nobody to answer by name."""
    found = parse("settle", KEY, JSON, without(name))

    assert isinstance(found, Malformed)
    assert not found.readable
    assert name in found.problems


@pytest.mark.parametrize("extra", [1, 1_000, 10 * 2**20], ids=["a byte", "a thousand", "10 MiB"])
def test_more_than_64_kib_is_malformed(extra: int) -> None:
    """At most 64 KiB a message, whatever is in it."""
    body = text() + b" " * (BYTES_MAX - len(text()) + extra)

    assert tells_nothing(parse("settle", KEY, JSON, body))


def test_64_kib_to_the_byte_is_read() -> None:
    """The largest message allowed."""
    body = text() + b" " * (BYTES_MAX - len(text()))

    assert isinstance(parse("settle", KEY, JSON, body), Request)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        pytest.param('"amount_fen":1', 10_000, id="good value first"),
        pytest.param('"amount_fen":-1', 10_000, id="bad value first"),
        pytest.param('"amount_fen":"张三"', 10_000, id="value of another kind first"),
        pytest.param('"amount_fen":null', 10_000, id="null first"),
    ],
)
def test_of_a_repeated_key_the_last_counts(member: str, value: int) -> None:
    """JSON leaves it open; the contract does not."""
    request = parse("settle", KEY, JSON, with_member(member))

    assert isinstance(request, Request)
    assert request.model_dump()["amount_fen"] == value


@pytest.mark.parametrize(
    ("behind", "problem"),
    [
        pytest.param(b'"amount_fen":0', "amount_fen", id="bad amount behind"),
        pytest.param(b'"insured_region":"110000"', "insured_region", id="other region behind"),
        pytest.param(b'"credential":null', "credential", id="no credential behind"),
    ],
)
def test_bad_value_of_a_repeated_key_counts_if_it_is_the_last(behind: bytes, problem: str) -> None:
    """A good value in front does not save it."""
    found = parse("settle", KEY, JSON, text()[:-1] + b"," + behind + b"}")

    assert tells_nothing(found)
    assert isinstance(found, Malformed)
    assert problem in found.problems


def test_sender_is_answered_by_the_name_that_counts() -> None:
    """Of a repeated request id the last one names the request, in a malformed message too."""
    found = parse("settle", KEY, JSON, with_member('"request_id":"R-0"').replace(b"10000", b"0"))

    assert isinstance(found, Malformed)
    assert found.request_id == "R-1"


def test_a_body_that_is_too_long_is_still_answered_by_name() -> None:
    """Its sender learns which request it was; only far too long a body is not read at all."""
    name = b'{"request_id":"r1","institution_id":"H1","bill_ref":"'

    long = parse("settle", "settle.130100", None, name + b"x" * 70_000 + b'"}')
    far_too_long = parse("settle", "settle.130100", None, name + b"x" * 2_000_000 + b'"}')

    assert isinstance(long, Malformed)
    assert isinstance(far_too_long, Malformed)
    assert (long.request_id, long.readable) == ("r1", True)
    assert (far_too_long.request_id, far_too_long.readable) == (None, False)


@pytest.mark.parametrize(
    "beginning",
    [
        b'{"request_id":"r1","institution_id":"H1","bill_ref":"xxx',
        '{"request_id":"r1","institution_id":"H1","bill_ref":"张三'.encode()[:-1],
        b'{"request_id":"r1","institution_id":"H1"}      ',
    ],
    ids=["in a text", "in a character", "in blanks"],
)
def test_a_beginning_tells_whose_it_is(beginning: bytes) -> None:
    """Wherever it was cut; the rest is not looked at."""
    found = not_kept("settle", beginning, 70_000, SETTLEMENT_QUEUE)

    assert found == Malformed("the body has 70000 bytes; at most 65536 are read", "settle", "r1", "H1")


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"junk",
        b"[" * 1_024,
        b'{"request_id":"r1","institution_id":"H',
        b'{"a":NaN,"request_id":"r1","institution_id":"H1",',
    ],
    ids=["none", "no JSON", "nested", "cut within", "no number"],
)
def test_a_beginning_that_names_nobody_is_nobodys(beginning: bytes) -> None:
    """Half a name is none."""
    assert not not_kept("settle", beginning, 70_000, SETTLEMENT_QUEUE).readable


def test_of_far_too_long_a_body_the_beginning_is_nobodys() -> None:
    """Whatever it says; the most that its queue reads is named."""
    named = b'{"request_id":"r1","institution_id":"H1","bill_ref":"'

    alone = not_kept("settle", named, 5_000_000, SETTLEMENT_QUEUE)
    together = not_kept("settle_bulk", named, 5_000_000, BULK_QUEUE)
    invented = not_kept("张三", named, 5_000_000, SETTLEMENT_QUEUE)

    assert alone == Malformed("the body has 5000000 bytes; at most 65536 are read", "settle")
    assert together == Malformed("the body has 5000000 bytes; at most 524288 are read", "settle_bulk")
    assert invented.operation is None
