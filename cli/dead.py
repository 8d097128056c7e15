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
from cli.speech import REJECTED, USAGE, complain, console, print_json, printable
from shared.messages.catalogue import UNDECIDABLE
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import close, connect, hosts, open_channel
from shared.rabbit.publisher import Outgoing, Publisher
from shared.rabbit.topology import DEAD, REQUESTS, About

LOOKED_AT = 1_000
ID_LENGTH = 12
DEATHS = "x-death"

app = typer.Typer(help="Dead-lettered messages.", no_args_is_help=True)
LetterId = Annotated[str, typer.Argument(help="An id from `gongji dead list`.")]
AtMost = Annotated[int, typer.Option("--at-most", min=1, help="So many letters are looked at.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Only those with this reason, such as malformed.")]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. Its id is a digest of what came, so copies of one message have one id."""

    message: DeliveredMessage

    @property
    def letter_id(self) -> str:
        properties = self.message.header.properties
        parts = (self.message.routing_key or "", properties.message_type or "")
        named = "\x1f".join(parts).encode("utf-8", errors="surrogateescape")
        return sha256(named + b"\x1f" + self.message.body).hexdigest()[:ID_LENGTH]

    @property
    def type(self) -> str | None:
        """What it says that it is; what is not UTF-8 in that is replaced."""
        found: str | None = self.message.header.properties.message_type
        return found and found.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")

    @property
    def headers(self) -> dict[str, Any]:
        return dict(self.message.header.properties.headers or {})

    @property
    def _death(self) -> dict[str, Any]:
        """What the broker itself writes where it has put a message aside; nothing where a worker has."""
        deaths = self.headers.get(DEATHS)
        first: dict[str, Any] = deaths[0] if isinstance(deaths, list) and deaths else {}
        return first

    @property
    def _ours(self) -> dict[str, Any]:
        """What a worker says of it. On what the broker has put aside, all other headers are its sender's own words."""
        return {} if DEATHS in self.headers else self.headers

    @property
    def reason(self) -> str | None:
        found: str | None = self._ours.get(About.REASON) or self._death.get("reason")
        return found

    @property
    def is_undecidable(self) -> bool:
        """Whether it is a good request that makes PostgreSQL fail: a bug here, and somebody's payment."""
        return str(self._ours.get(About.PROBLEMS) or "").startswith(UNDECIDABLE)

    @property
    def bytes_left_out(self) -> int:
        """Of the body, where the worker kept only its beginning."""
        left_out: int = self._ours.get(About.BYTES_LEFT_OUT) or 0
        return left_out

    def summary(self) -> dict[str, Any]:
        return {
            "id": self.letter_id,
            "type": self.type,
            "queue": self._ours.get(About.QUEUE) or self._death.get("queue"),
            "reason": self.reason,
            "problems": self._ours.get(About.PROBLEMS),
            "dead_at": self._ours.get(About.DEAD_AT) or str(self._death.get("time", "")),
            "bytes": len(self.message.body),
            "bytes_left_out": self.bytes_left_out,
        }


@app.command("list")
def list_letters(reason: Reason = None, at_most: AtMost = LOOKED_AT, as_json: AsJson = False) -> None:
    """List what was put aside, without the bodies; what nobody has looked at yet oldest first."""
    letters = asyncio.run(summaries(environment()["GONGJI_AMQP_URL"], at_most, reason))
    if as_json:
        print_json(letters)
        return
    for each in letters:
        size = f"{each['bytes']} bytes" + (f", {each['bytes_left_out']} left out" if each["bytes_left_out"] else "")
        told = f"{each['id']}  {each['type'] or '-':<10} {each['reason']}: {each['problems'] or ''} ({size})"
        console.print(printable(told), markup=False)
    console.print(f"{len(letters)} dead letter{'' if len(letters) == 1 else 's'}")


@app.command()
def show(letter_id: LetterId, at_most: AtMost = LOOKED_AT, as_json: AsJson = False) -> None:
    """Show one, with its body. The body may hold personal data: mind who looks over your shoulder."""
    found = asyncio.run(_shown(environment()["GONGJI_AMQP_URL"], letter_id, at_most))
    if as_json:
        print_json(found)
        return
    for field, value in found.items():
        console.print(f"{field:<14} {printable(str(value))}", markup=False)


@app.command()
def replay(letter_id: LetterId, at_most: AtMost = LOOKED_AT) -> None:
    """Send one again as it came, unless only its beginning was kept. Its answer goes to the institution's results; its
    request id keeps it from being decided twice.
    """
    asyncio.run(_replay(environment()["GONGJI_AMQP_URL"], letter_id, at_most))
    console.print(f"sent {letter_id} again")


@app.command()
def discard(
    letter_id: Annotated[str | None, typer.Argument(help="An id from `gongji dead list`.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="All with this reason, such as malformed.")] = None,
    at_most: AtMost = LOOKED_AT,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Let one go for good, or with --reason all that are there with that reason, however many, but for requests that cannot be
    decided: those one by one.
    """
    if (letter_id is None) == (reason is None):
        complain("name either a letter or, with --reason, a reason")
        raise typer.Exit(USAGE)
    named = letter_id or f"every dead letter that is {reason}"
    if not yes:
        typer.confirm(f"Discard {named} for good?", abort=True)
    amqp_url = environment()["GONGJI_AMQP_URL"]
    if letter_id:
        asyncio.run(_discard(amqp_url, letter_id, at_most))
        console.print(f"discarded {letter_id}")
    else:
        discarded = asyncio.run(_discard_all(amqp_url, at_most, reason))
        console.print(f"discarded {discarded} dead letter{'' if discarded == 1 else 's'}")


@asynccontextmanager
async def _queue(amqp_url: str) -> AsyncIterator[Channel]:
    """A channel to look at letters on; closing it puts back those that were not dealt with."""
    connection = await connect(hosts(amqp_url), name="gongji-dead")
    try:
        yield await open_channel(connection, confirms=True)
    finally:
        await close(connection)


async def _letters(channel: Channel, at_most: int) -> AsyncIterator[Letter]:
    """So many letters. The broker holds them; here is one at a time, for a body may have half a mebibyte."""
    for _ in range(at_most):
        message = await channel.basic_get(DEAD, no_ack=False)
        if message.delivery_tag is None:
            return
        yield Letter(message)


async def _one(channel: Channel, letter_id: str, at_most: int) -> Letter:
    async for letter in _letters(channel, at_most):
        if letter.letter_id == letter_id:
            return letter
    complain(f"there is no dead letter {letter_id} among the first {at_most:,}: see `gongji dead list --at-most`")
    raise typer.Exit(REJECTED)


async def summaries(amqp_url: str, at_most: int = LOOKED_AT, reason: str | None = None) -> list[dict[str, Any]]:
    """What is told of each letter, without the bodies."""
    async with _queue(amqp_url) as channel:
        return [letter.summary() async for letter in _letters(channel, at_most) if reason in (None, letter.reason)]


async def _shown(amqp_url: str, letter_id: str, at_most: int) -> dict[str, Any]:
    async with _queue(amqp_url) as channel:
        letter = await _one(channel, letter_id, at_most)
        return {**letter.summary(), "body": letter.message.body.decode("utf-8", errors="backslashreplace")}


async def _replay(amqp_url: str, letter_id: str, at_most: int) -> None:
    async with _queue(amqp_url) as channel:
        letter = await _one(channel, letter_id, at_most)
        if letter.bytes_left_out:
            complain(
                f"of {letter_id} only the first {len(letter.message.body)} bytes were kept, {letter.bytes_left_out} were left out: "
                "its sender was told that the whole is malformed and must send it again; the letter stays where it is"
            )
            raise typer.Exit(REJECTED)
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
            complain(f"{letter.message.routing_key!r} was {receipt.value}: the letter stays where it is")
            raise typer.Exit(REJECTED)
        await _let_go(channel, letter)


async def _discard(amqp_url: str, letter_id: str, at_most: int) -> None:
    async with _queue(amqp_url) as channel:
        await _let_go(channel, await _one(channel, letter_id, at_most))


async def _discard_all(amqp_url: str, at_most: int, reason: str | None) -> int:
    """How many letters were let go of those that were there. So many others are passed over; more may hide what is behind them."""
    discarded = passed_over = 0
    async with _queue(amqp_url) as channel:
        there = (await channel.queue_declare(DEAD, passive=True)).message_count or 0
        async for letter in _letters(channel, there):
            if letter.reason == reason and not letter.is_undecidable:
                await _let_go(channel, letter)
                discarded += 1
            elif (passed_over := passed_over + 1) >= at_most:
                complain(
                    f"{at_most:,} others were passed over: what is behind them is looked at with a larger --at-most"
                )
                break
    return discarded


async def _let_go(channel: Channel, letter: Letter) -> None:
    assert letter.message.delivery_tag is not None
    await channel.basic_ack(letter.message.delivery_tag)
