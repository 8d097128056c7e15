"""`python -m contracts write`: generates the files here; `check` says whether they are up to date."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from contracts.examples import EXAMPLES
from services.binding.app import build
from services.settlement.states import EFFECTS, TRANSITIONS, State
from shared.domain.reasons import TEXTS, Reason
from shared.messages.catalogue import CATALOGUE
from shared.messages.envelope import Operation, Outcome
from shared.messages.event import AccountEvent, BindingEvent, EventName
from shared.rabbit import topology

HERE = Path(__file__).resolve().parent
EVENTS = {"account": AccountEvent, "binding": BindingEvent}


def generated() -> dict[str, str]:
    """Every generated file: its path below `contracts/` and its text."""
    files = {"asyncapi.yaml": yaml.safe_dump(asyncapi(), allow_unicode=True, sort_keys=False, width=120)}
    files["openapi.json"] = as_json(openapi())
    files["states.md"] = states()
    files["reasons.json"] = as_json({reason: TEXTS[reason]._asdict() for reason in Reason})
    for operation, wire in ((each.value, wire) for each, wire in CATALOGUE.items()):
        files[f"schemas/{operation}.request.json"] = as_json(wire.request.model_json_schema())
        files[f"schemas/{operation}.answer.json"] = as_json(wire.answer.model_json_schema(mode="serialization"))
        for kind, example in EXAMPLES[Operation(operation)].items():
            files[f"examples/{operation}.{kind}.json"] = as_json(example)
    for subject, kind in EVENTS.items():
        files[f"schemas/{subject}.event.json"] = as_json(kind.model_json_schema(mode="serialization"))
    return files


def asyncapi() -> dict[str, Any]:
    """The messages as AsyncAPI 3: where to send which request, and where its answer comes."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for operation, wire in ((each.value, wire) for each, wire in CATALOGUE.items()):
        for kind in ("request", "answer"):
            messages[f"{operation}.{kind}"] = {
                "name": operation if kind == "request" else f"{operation}.result",
                "contentType": "application/json",
                "payload": {"$ref": f"./schemas/{operation}.{kind}.json"},
            }
        channels[operation] = {
            "address": f"{operation}.{{insured_region}}",
            "title": f"exchange {topology.REQUESTS}, consumed from {wire.queue}",
            "parameters": {"insured_region": {"description": "six digits: where the patient is insured"}},
            "messages": {"request": {"$ref": f"#/components/messages/{operation}.request"}},
            "bindings": {"amqp": {"is": "routingKey", "exchange": {"name": topology.REQUESTS, "type": "topic"}}},
        }
        channels[f"{operation}.result"] = {
            "address": f"{operation}.{{outcome}}.{{institution_id}}",
            "title": f"exchange {topology.RESULTS}, or the queue named in reply_to",
            "parameters": {
                "outcome": {"enum": [outcome.value for outcome in Outcome]},
                "institution_id": {"description": "the sender"},
            },
            "messages": {"answer": {"$ref": f"#/components/messages/{operation}.answer"}},
            "bindings": {"amqp": {"is": "routingKey", "exchange": {"name": topology.RESULTS, "type": "topic"}}},
        }
        operations[operation] = {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{operation}"},
            "reply": {"channel": {"$ref": f"#/channels/{operation}.result"}},
        }
    for subject in EVENTS:
        messages[f"{subject}.event"] = {
            "contentType": "application/json",
            "payload": {"$ref": f"./schemas/{subject}.event.json"},
        }
    channels["events"] = {
        "address": "{event}.{region}",
        "title": f"exchange {topology.EVENTS}",
        "parameters": {
            "event": {"enum": [event.value for event in EventName]},
            "region": {"description": "six digits: where the account's holder, or the payer of a binding, is insured"},
        },
        "messages": {subject: {"$ref": f"#/components/messages/{subject}.event"} for subject in EVENTS},
        "bindings": {"amqp": {"is": "routingKey", "exchange": {"name": topology.EVENTS, "type": "topic"}}},
    }
    operations["events"] = {"action": "send", "channel": {"$ref": "#/channels/events"}}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Gongji settlement",
            "version": "1",
            "description": "Requests, answers and events over AMQP 0-9-1.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def openapi() -> dict[str, Any]:
    # The description needs no handler: nothing is served.
    return build(None, None).openapi()  # type: ignore[arg-type]


def states() -> str:
    """The life of a request as a diagram."""
    arrows = [
        f"    {state} --> {after}: {event}" for state, events in TRANSITIONS.items() for event, after in events.items()
    ]
    effects = [f"| `{state}` | `{effect}` |" for state, effect in EFFECTS.items()]
    return "\n".join(
        [
            "# The life of a request",
            "",
            "Drawn from `services/settlement/states.py`. A request is named by its institution and its id within a province.",
            "",
            "```mermaid",
            "stateDiagram-v2",
            f"    [*] --> {State.UNKNOWN}",
            *arrows,
            "```",
            "",
            "What a cancel (冲正) finds:",
            "",
            "| the original is | `effect` |",
            "|---|---|",
            *effects,
            "",
        ]
    )


def as_json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def stale() -> list[str]:
    """The files that are not what the code would generate now, and those that it no longer generates."""
    wanted = generated()
    differing = [
        name for name, text in wanted.items() if not (HERE / name).exists() or (HERE / name).read_text("utf-8") != text
    ]
    present = {str(path.relative_to(HERE)) for path in HERE.rglob("*") if path.suffix in (".json", ".yaml", ".md")}
    return sorted([*differing, *(present - set(wanted))])


def write() -> None:
    for name in stale():
        (HERE / name).unlink(missing_ok=True)
    for name, text in generated().items():
        path = HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    match arguments:
        case ["write"]:
            write()
            return 0
        case ["check"]:
            if old := stale():
                print(f"contracts/ is not up to date ({', '.join(old)}): run `make contracts`", file=sys.stderr)  # noqa: T201
            return 1 if old else 0
        case _:
            print("usage: python -m contracts write|check", file=sys.stderr)  # noqa: T201
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
