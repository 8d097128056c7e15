"""The generated contracts are what the code says, and their examples are what the code accepts."""

import json
from pathlib import Path

import pytest
import yaml

from contracts.__main__ import generated, stale
from contracts.examples import EXAMPLES
from shared.messages.catalogue import CATALOGUE, Bulk, parse
from shared.messages.envelope import Operation, Request
from shared.rabbit.topology import BULK, INQUIRY, QUEUES, SETTLEMENT

HERE = Path(__file__).parents[2] / "contracts"


def test_they_are_up_to_date() -> None:
    """`make contracts` would change nothing."""
    assert stale() == []


def test_a_changed_file_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file edited by hand, a missing one and a left-over one are all named."""
    for name, text in generated().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "openapi.json").write_text("{}", encoding="utf-8")
    (tmp_path / "reasons.json").unlink()
    (tmp_path / "schemas" / "old.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr("contracts.__main__.HERE", tmp_path)

    assert stale() == ["openapi.json", "reasons.json", "schemas/old.json"]


@pytest.mark.parametrize("operation", Operation)
def test_an_example_is_accepted(operation: Operation) -> None:
    """The request parses as its operation; the answer is one that the model makes."""
    example = EXAMPLES[operation]
    body = json.dumps(example["request"]).encode()

    request = parse(operation, f"{operation}.{example['request']['insured_region']}", "application/json", body)
    answer = CATALOGUE[operation].answer.model_validate(example["answer"])

    assert isinstance(request, Request | Bulk)
    assert answer.model_dump(mode="json") == example["answer"]


def test_every_reference_of_the_asyncapi_document_exists() -> None:
    """Nothing points at nothing."""
    document = yaml.safe_load((HERE / "asyncapi.yaml").read_text(encoding="utf-8"))

    for message in document["components"]["messages"].values():
        assert (HERE / message["payload"]["$ref"]).exists()
    for name, operation in document["operations"].items():
        assert operation["channel"]["$ref"].removeprefix("#/channels/") in document["channels"]
        # Nobody answers an event.
        if name != "events":
            assert operation["reply"]["channel"]["$ref"].removeprefix("#/channels/") in document["channels"]
    for channel in document["channels"].values():
        for message in channel["messages"].values():
            assert message["$ref"].removeprefix("#/components/messages/") in document["components"]["messages"]


@pytest.mark.parametrize("operation", Operation)
def test_an_operations_queue_is_bound_to_its_routing_key(operation: Operation) -> None:
    """What the catalogue says of queues is what the broker is told."""
    assert f"{operation}.*" in QUEUES[CATALOGUE[operation].queue]
    assert set(QUEUES) == {SETTLEMENT, BULK, INQUIRY}
