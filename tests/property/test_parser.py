"""Whatever comes as a message is read or refused: nothing is raised, and nothing that a sender wrote is repeated."""

import json
from pathlib import Path
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from services.settlement.deliveries import read
from services.settlement.incoming import Incoming
from shared.messages.catalogue import CATALOGUE, Bulk, Malformed, parse
from shared.messages.envelope import Operation, Request
from shared.rabbit.wire import Message

EXAMPLES = Path(__file__).parents[2] / "contracts" / "examples"
GOOD = {
    operation: json.loads((EXAMPLES / f"{operation}.request.json").read_text(encoding="utf-8"))
    for operation in CATALOGUE
}
# What must never be told: whatever a body holds, it holds these, so that a leak is seen.
ID_NUMBER, NAME = "13010219900307123X", "欧阳修文"
NUMBERS = st.integers(-(10**400), 10**400) | st.floats() | st.sampled_from([2**63, 10**11 + 1, -0.0, 1e308])
TEXTS = st.text(max_size=40) | st.sampled_from(
    [ID_NUMBER, NAME, "", "\x00", "\ud800", "9" * 5_000, "2026-11-22", "NaN"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def changed(draw: st.DrawFn, content: Any) -> Any:
    """A request with some things missing, added or replaced, at any depth."""
    said = dict(content)
    for _ in range(draw(st.integers(0, 3))):
        key = draw(st.sampled_from([*said, "unknown", ID_NUMBER]) if said else st.just("unknown"))
        how = draw(st.sampled_from(["drop", "replace", "wrap", "inside"]))
        if how == "drop":
            said.pop(key, None)
        elif how == "inside" and isinstance(said.get(key), dict):
            said[key] = draw(changed(said[key]))
        elif how == "wrap":
            said[key] = [said.get(key)] * draw(st.integers(0, 3))
        else:
            said[key] = draw(VALUES)
    return said


@st.composite
def bodies(draw: st.DrawFn) -> tuple[Operation, bytes]:
    """From almost right to mere bytes."""
    operation = draw(st.sampled_from(list(CATALOGUE)))
    said = draw(changed(GOOD[operation]))
    text = json.dumps(said, ensure_ascii=draw(st.booleans()))
    encoding = draw(st.sampled_from(["utf-8"] * 6 + ["utf-16", "utf-8-sig", "gb18030", "latin-1"]))
    body = text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")
    for _ in range(draw(st.sampled_from([0] * 4 + [1, 2, 5]))):
        place = draw(st.integers(0, len(body)))
        cut = draw(st.integers(0, 3))
        body = body[:place] + draw(st.binary(max_size=4) | st.just(b"[" * 300) | st.just(b'{"":')) + body[place + cut :]
    return operation, draw(st.sampled_from([body] * 9 + [draw(st.binary(max_size=60))]))


KEYS = st.sampled_from(["{}.130100"] * 8 + ["{}", "{}.13", "credit.130100", "", "{}.130100.x"])
CONTENT_TYPES = st.sampled_from(
    [None, "application/json"] * 4 + ["text/plain", "application/json; charset=utf-8", ID_NUMBER]
)


@given(bodies(), KEYS, CONTENT_TYPES)
def test_whatever_comes_is_a_request_or_malformed(
    made: tuple[Operation, bytes], key: str, content_type: str | None
) -> None:
    """Never an exception, never a value in what is said of it."""
    operation, body = made

    found = parse(operation, key.format(operation), content_type, body)

    event(type(found).__name__)
    assert isinstance(found, Request | Bulk | Malformed)
    parts = found.settlements if isinstance(found, Bulk) else (found,)
    for each in parts:
        if isinstance(each, Malformed):
            assert ID_NUMBER not in each.problems
            assert NAME not in each.problems
            assert len(each.problems) < 5_000


@given(bodies())
def test_what_is_read_is_written_as_it_was_meant(made: tuple[Operation, bytes]) -> None:
    """A request's own text, read again, is the same request; and everything that a batch asks of it is there."""
    operation, body = made

    delivery = read(Message(1, "", f"{operation}.130100", type=operation, body=body), CATALOGUE[operation].queue)

    for each in delivery.requests:
        if isinstance(each, Incoming):
            again = parse(
                each.operation, f"{each.operation}.{each.request.insured_region}", None, each.request.content().encode()
            )
            assert again == each.request
            assert 0 <= each.name.province <= 99


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=30) | st.none(), st.binary(max_size=200))
def test_properties_are_as_wild_as_bodies(kind: str, key: str, content_type: str | None, body: bytes) -> None:
    """A made-up type is not repeated either."""
    found = parse(kind, key, content_type, body)

    assert isinstance(found, Malformed)
    assert found.operation is None or found.operation in CATALOGUE
