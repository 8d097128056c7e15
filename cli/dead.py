"""dead: the messages that were put aside. Look at them, send them again, or let them go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

import typer
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel

from cli.environment import environment
from cli.options import AsJson
from cli.speech import REJECTED, console, errors, print_json
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import connect, hosts, open_channel
from shared.rabbit.publisher import Outgoing, Publisher
from shared.rabbit.topology import DEAD, REQUESTS

LISTED_MAX = 1_000
ID_LENGTH = 12

app = typer.Typer(help="Dead-lettered messages.", no_args_is_help=True)
LetterId = Annotated[str, typer.Argument(help="An id from `gongji dead list`.")]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. Its id is a digest of what came, so copies of one message have one id."""

    tag: int
    message: DeliveredMessage

    @property
    def letter_id(self) -> str:
        properties = self.message.header.properties
        parts = (self.message.routing_key or "", properties.message_type or "")
        return sha256("\x1f".join(parts).encode() + b"\x1f" + self.message.body).hexdigest()[:ID_LENGTH]

    def summary(self) -> dict[str, Any]:
        headers: dict[str, Any] = dict(self.message.header.properties.headers or {})
        # What the broker itself writes where the delivery limit put a message aside.
        first: dict[str, Any] = next(iter(headers.get("x-death") or []), {})
        return {
            "id": self.letter_id,
            "type": self.message.header.properties.message_type,
            "queue": headers.get("x-gongji-queue") or first.get("queue"),
            "reason": headers.get("x-gongji-reason") or first.get("reason"),
            "problems": headers.get("x-gongji-problems"),
            "dead_at": headers.get("x-gongji-dead-at") or str(first.get("time", "")),
            "bytes": len(self.message.body),
        }


@app.command("list")
def list_letters(as_json: AsJson = False) -> None:
    """List what was put aside, oldest first, without the bodies."""
    letters = asyncio.run(_summaries(environment()["GONGJI_AMQP_URL"]))
    if as_json:
        print_json(letters)
        return
    for each in letters:
        console.print(
            f"{each['id']}  {each['type'] or '-':<10} {each['reason']}: {each['problems'] or ''} ({each['bytes']} bytes)"
        )
    console.print(f"{len(letters)} dead letter{'' if len(letters) == 1 else 's'}")


@app.command()
def show(letter_id: LetterId, as_json: AsJson = False) -> None:
    """Show one, with its body. The body may hold personal data: mind who looks over your shoulder."""
    found = asyncio.run(_shown(environment()["GONGJI_AMQP_URL"], letter_id))
    if as_json:
        print_json(found)
        return
    for field, value in found.items():
        console.print(f"{field:<9} {value}", markup=False)


@app.command()
def replay(letter_id: LetterId) -> None:
    """Send one again as it came. Its answer goes to the institution's results; its request id keeps it from being
    decided twice.
    """
    asyncio.run(_replay(environment()["GONGJI_AMQP_URL"], letter_id))
    console.print(f"sent {letter_id} again")


@app.command()
def discard(
    letter_id: LetterId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Let one go for good."""
    if not yes:
        typer.confirm(f"Discard {letter_id} for good?", abort=True)
    asyncio.run(_discard(environment()["GONGJI_AMQP_URL"], letter_id))
    console.print(f"discarded {letter_id}")


@asynccontextmanager
async def _letters(amqp_url: str) -> AsyncIterator[tuple[Channel, list[Letter]]]:
    """Every letter, held unacknowledged; closing the channel puts back those that were not dealt with."""
    connection = await connect(hosts(amqp_url), name="gongji-dead")
    try:
        channel = await open_channel(connection, confirms=True)
        letters: list[Letter] = []
        while len(letters) < LISTED_MAX:
            message = await channel.basic_get(DEAD, no_ack=False)
            if message.delivery_tag is None:
                break
            letters.append(Letter(message.delivery_tag, message))
        yield channel, letters
    finally:
        await connection.close()


def _one(letters: list[Letter], letter_id: str) -> Letter:
    for letter in letters:
        if letter.letter_id == letter_id:
            return letter
    errors.print(f"[red]there is no dead letter {letter_id}: see `gongji dead list`[/]")
    raise typer.Exit(REJECTED)


async def _summaries(amqp_url: str) -> list[dict[str, Any]]:
    async with _letters(amqp_url) as (_, letters):
        return [letter.summary() for letter in letters]


async def _shown(amqp_url: str, letter_id: str) -> dict[str, Any]:
    async with _letters(amqp_url) as (_, letters):
        letter = _one(letters, letter_id)
        return {**letter.summary(), "body": letter.message.body.decode("utf-8", errors="backslashreplace")}


async def _replay(amqp_url: str, letter_id: str) -> None:
    async with _letters(amqp_url) as (channel, letters):
        letter = _one(letters, letter_id)
        properties = letter.message.header.properties
        again = Outgoing(
            REQUESTS,
            letter.message.routing_key or "",
            letter.message.body,
            type=properties.message_type,
            content_type=properties.content_type,
        )
        (receipt,) = await Publisher(channel).publish([again])
        if receipt is not Receipt.CONFIRMED:
            errors.print(f"[red]{letter.message.routing_key!r} was {receipt.value}: the letter stays where it is[/]")
            raise typer.Exit(REJECTED)
        await channel.basic_ack(letter.tag)


async def _discard(amqp_url: str, letter_id: str) -> None:
    async with _letters(amqp_url) as (channel, letters):
        await channel.basic_ack(_one(letters, letter_id).tag)
