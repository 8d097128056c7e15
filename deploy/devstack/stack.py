"""What the stack runs besides its servers, as a table."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

DATABASE = "GONGJI_DATABASE_URL"
AMQP = "GONGJI_AMQP_URL"
HTTP_PORT = "GONGJI_HTTP_PORT"
CONSUMES = "GONGJI_CONSUMES"
AUTHENTICATE_SENDERS = "GONGJI_AUTHENTICATE_SENDERS"
LANES, BATCH_MAX, PREFETCH = "GONGJI_LANES", "GONGJI_BATCH_MAX", "GONGJI_PREFETCH"
JWT_PUBLIC_KEY = "GONGJI_JWT_PUBLIC_KEY_FILE"
KEY_RING = "GONGJI_KEY_RING_FILE"
NOTHING_MORE: Mapping[str, str] = {}
# As many workers at one queue leave nobody behind with the usual batches; with more of them, everybody has less in hand.
FEW = 4


def started_with(options: Sequence[str]) -> tuple[str, ...]:
    """What makes one stack another than the next: options of the supervisor's, and what the environment says of senders."""
    senders = f"{AUTHENTICATE_SENDERS}={os.environ.get(AUTHENTICATE_SENDERS, 'false')}"
    return *(each for each in options if not each.startswith(("--state=", "--owner="))), senders


@dataclass(frozen=True)
class Step:
    """A program that must succeed before the services start; `variables` are what it is told."""

    name: str
    argv: tuple[str, ...]
    variables: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """A program that answers over HTTP on a port of its own, told to it as GONGJI_HTTP_PORT; `settings` are its own."""

    name: str
    argv: tuple[str, ...]
    variables: tuple[str, ...]
    ready_path: str = "/readyz"
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stack:
    """Steps run one after the other, then all services together."""

    steps: tuple[Step, ...] = ()
    services: tuple[Service, ...] = ()


SERVERS_ONLY = Stack()


def gongji(workers: int) -> Stack:
    """The whole of Gongji, with this many settlement workers beside those for bulk messages and inquiries."""
    told = sharing(workers)
    return Stack(
        steps=(
            Step("migrate", python("shared.postgres", "migrate"), (DATABASE,)),
            Step("declare", python("shared.rabbit", "declare"), (AMQP,)),
        ),
        services=(
            *(settlement(f"settlement-{number}", "settlement", told) for number in range(1, workers + 1)),
            settlement("bulk", "bulk"),
            settlement("inquiry", "inquiry"),
            Service(
                "binding",
                python("services.binding"),
                (DATABASE, JWT_PUBLIC_KEY, KEY_RING),
            ),
            Service("bookkeeping", python("services.bookkeeping"), (DATABASE, AMQP)),
        ),
    )


def sharing(workers: int) -> Mapping[str, str]:
    """What so many workers at one queue are told, unless the environment says otherwise: docs/adr/0021."""
    told = {LANES: "1"} if workers > 1 else {}
    if workers > FEW:
        told |= {BATCH_MAX: "100", PREFETCH: "200"}
    return {name: os.environ.get(name, value) for name, value in told.items()}


def settlement(name: str, consumes: str, told: Mapping[str, str] = NOTHING_MORE) -> Service:
    """A worker for some of the queues. Whoever is on this machine may send as anybody, unless the environment says otherwise."""
    settings = {CONSUMES: consumes, AUTHENTICATE_SENDERS: os.environ.get(AUTHENTICATE_SENDERS, "false"), **told}
    return Service(name, python("services.settlement"), (DATABASE, AMQP), settings=settings)


def python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)
