"""Institutions with users of their own at a real broker, and whoever tries to be another one or to get at what is not theirs."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from aiormq.channel import Channel
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed, ProbableAuthenticationError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pamqp.commands import Basic

from deploy.devstack.state import StackState, log_file
from shared.domain.enrolment import InstitutionKind
from shared.messages.signing import public_key, sign
from shared.rabbit.access import Access
from shared.rabbit.client import client
from shared.rabbit.connection import close, connect, open_channel
from shared.rabbit.management import Management, ManagementRefused, vhost_of
from shared.rabbit.topology import BULK, DEAD, EVENTS, INQUIRY, REQUESTS, RESULTS, SETTLEMENT
from tests.support.correspondence import dead_letters, waiting
from tests.support.world import World, bill, envelope, until


@dataclass
class Door:
    """The broker's door: who has been let in, with which URL."""

    world: World
    management: Management
    urls: dict[str, str] = field(default_factory=dict)

    async def let_in(self, institution_id: str, kind: InstitutionKind = InstitutionKind.HOSPITAL) -> Access:
        """As `gongji institution add` does it. Users are the whole broker's, so each test has names of its own."""
        access = Access(f"{institution_id}-{secrets.token_hex(4)}", institution_id, kind)
        password = secrets.token_urlsafe(16)
        self.management.put_user(access.user, password)
        self.management.grant(access)
        parts = urlsplit(self.world.amqp_url)
        address = parts.netloc.rpartition("@")[2]
        self.urls[access.user] = parts._replace(netloc=f"{access.user}:{password}@{address}").geturl()
        await self.world.institution(institution_id, kind=kind, amqp_user=access.user)
        return access

    @asynccontextmanager
    async def channel(self, access: Access) -> AsyncIterator[Channel]:
        connection = await connect([self.urls[access.user]], name="tests")
        yield await open_channel(connection, confirms=True)
        await close(connection)

    async def ask(self, access: Access, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        async with client(self.urls[access.user], name="tests") as till:
            said = {"user_id": access.user, **more}
            return await till.ask("settle", body["insured_region"], orjson.dumps(body), timeout_s=30, **said)


@pytest.fixture
def door(world: World, servers: StackState) -> Iterator[Door]:
    """Nobody is in yet; afterwards nobody is any more."""
    assert servers.urls.rabbitmq_management
    with Management(servers.urls.rabbitmq_management, vhost_of(world.amqp_url)) as management:
        opened = Door(world, management)
        yield opened
        for user in opened.urls:
            management.shut_out(user)


@pytest.fixture
async def clinic(door: Door) -> Access:
    """A hospital, and a worker that knows its senders."""
    door.world.start_worker(authenticate_senders=True)
    await door.world.person("CHILD", insurance="resident")
    return await door.let_in("H1")


def message(access: Access, body: dict[str, Any], **more: Any) -> tuple[bytes, Basic.Properties]:
    said = {"message_type": "settle", "user_id": access.user, "delivery_mode": 2, **more}
    return orjson.dumps(body), Basic.Properties(**said)


async def publish(
    channel: Channel, access: Access, body: dict[str, Any], key: str = "settle.130100", **more: Any
) -> None:
    content, properties = message(access, body, **more)
    await channel.basic_publish(content, exchange=REQUESTS, routing_key=key, properties=properties)


async def get(channel: Channel, queue: str) -> dict[str, Any]:
    """The next message of a queue, once there is one."""
    found: list[bytes] = []

    async def there() -> bool:
        got = await channel.basic_get(queue, no_ack=True)
        if got.delivery_tag is not None:
            found.append(got.body)
        return bool(found)

    await until(there)
    answer: dict[str, Any] = orjson.loads(found[0])
    return answer


async def refusals(world: World) -> list[tuple[Any, ...]]:
    rows = await world.db.fetch(
        "SELECT province, reason, amqp_user, institution_id, request_id, operation FROM ledger.refusals ORDER BY refusal_id"
    )
    return [tuple(row) for row in rows]


# ---- what one may ----


async def test_an_institution_is_answered_directly(door: Door, clinic: Access) -> None:
    """With nothing but what it was given: its own request, direct reply-to."""
    answer = await door.ask(clinic, bill())

    assert answer["reason"] == "no_binding"
    assert await refusals(door.world) == []


async def test_an_institution_reads_its_own_queues(door: Door, clinic: Access) -> None:
    """The lasting reply queue that was made for it, and the results of what it asked without a reply address."""
    async with door.channel(clinic) as channel:
        await publish(channel, clinic, bill(request_id="to-reply"), reply_to=clinic.reply_queue)
        await publish(channel, clinic, bill(request_id="to-results"))

        assert (await get(channel, clinic.reply_queue))["request_id"] == "to-reply"
        assert (await get(channel, clinic.results_queue))["request_id"] == "to-results"


async def test_an_agency_credits_and_a_hospital_may_not_even_send_it(door: Door, clinic: Access) -> None:
    """Which requests a user may publish follows from what its institution is."""
    agency = await door.let_in("A1", InstitutionKind.AGENCY)
    said = envelope(institution_id="A1", person_id="CHILD", fund="current_year", amount_fen=1)

    async with door.channel(agency) as channel:
        await publish(channel, agency, said, "credit.130100", message_type="credit")
        answer = await get(channel, agency.results_queue)

    assert answer["reason"] == "person_not_employee"
    async with door.channel(clinic) as channel:
        with pytest.raises(ChannelAccessRefused):
            await publish(channel, clinic, said, "credit.130100", message_type="credit")


# ---- being somebody else ----


async def test_nobody_elses_user_is_taken_over(door: Door, clinic: Access) -> None:
    """A service's user, an administrator's, and one that sends for another institution already."""
    ours = urlsplit(door.world.amqp_url).username
    assert ours
    for user, why in ((ours, "of another kind"), (clinic.user, r"reads the results of \*\.\*\.H1")):
        with pytest.raises(ManagementRefused, match=why):
            door.management.is_let_in(Access(user, "H9", InstitutionKind.HOSPITAL))

    assert door.management.is_let_in(clinic)
    assert not door.management.is_let_in(Access("nobody-yet", "H9", InstitutionKind.HOSPITAL))


async def test_who_was_shut_out_hears_nothing_more(door: Door, clinic: Access) -> None:
    """Its user is gone, and what is answered to its institution no longer goes to its queue."""
    door.management.shut_out(clinic.user)

    await publish_as_admin(door.world, clinic.results_key)

    assert await waiting(door.world, clinic.results_queue) == 0
    with pytest.raises(ProbableAuthenticationError):
        await connect([door.urls.pop(clinic.user)], name="tests")


async def test_nobody_is_in_without_a_password(door: Door, clinic: Access) -> None:
    """A wrong one, and none."""
    parts = urlsplit(door.urls[clinic.user])
    address = parts.netloc.rpartition("@")[2]
    wrong = parts._replace(netloc=f"{clinic.user}:wrong@{address}").geturl()

    for url in (wrong, wrong.replace(":wrong@", ":@")):
        with pytest.raises(ProbableAuthenticationError):
            await connect([url], name="tests")


async def test_the_broker_itself_refuses_a_forged_user(door: Door, clinic: Access, servers: StackState) -> None:
    """`user_id` says somebody else than who is connected: the channel is closed, nothing is routed, and the broker's log says who it was."""
    victim = await door.let_in("H2")

    async with door.channel(clinic) as channel:
        with pytest.raises(ChannelPreconditionFailed):
            await publish(channel, victim, bill(institution_id="H2"))

    assert await refusals(door.world) == []
    await until(partial(told_by_the_broker, servers, door.world, clinic, victim.user, "precondition_failed"))


@pytest.mark.parametrize("named", [True, False], ids=["named", "nameless"])
async def test_a_foreign_institution_is_refused_and_written_down(door: Door, clinic: Access, *, named: bool) -> None:
    """One's own user, somebody else's institution; and no user at all."""
    await door.let_in("H2")
    body = bill(institution_id="H2", request_id="not-mine")

    answer = await door.ask(clinic, body, user_id=clinic.user if named else None)

    assert (answer["outcome"], answer["reason"]) == ("rejected", "sender_mismatch")
    assert await refusals(door.world) == [
        (13, "sender_mismatch", clinic.user if named else None, "H2", "not-mine", "settle")
    ]


async def test_an_odd_time_hides_nobody(door: Door, clinic: Access) -> None:
    """It is told before the sender is looked at, and the sender is written down all the same."""
    await door.let_in("H2")
    in_two_days = (datetime.now(UTC) + timedelta(days=2)).isoformat()

    answer = await door.ask(clinic, bill(institution_id="H2", request_id="not-mine", occurred_at=in_two_days))

    assert (answer["outcome"], answer["reason"]) == ("rejected", "malformed")
    assert await refusals(door.world) == [(13, "sender_mismatch", clinic.user, "H2", "not-mine", "settle")]


LIES: dict[str, tuple[str, dict[str, Any]]] = {
    "a request": ("settle", bill(institution_id="H2", request_id="theirs")),
    "a request that is none": ("settle", bill(institution_id="H2", request_id="theirs", amount_fen=0)),
    "many": (
        "settle_bulk",
        envelope(institution_id="H2", settlements=[bill(institution_id="H2", request_id="theirs")]),
    ),
    "many, none of them one": ("settle_bulk", envelope(institution_id="H2", settlements=[{"institution_id": "H2"}])),
}


@pytest.mark.parametrize("lie", LIES)
async def test_what_is_said_in_anothers_name_is_not_answered_to_the_other(door: Door, clinic: Access, lie: str) -> None:
    """Without a reply address: it would read that its own request was rejected, or find its queue full. Who sent it is told."""
    victim = await door.let_in("H2")
    operation, body = LIES[lie]

    async with door.channel(clinic) as channel:
        await publish(channel, clinic, body, f"{operation}.130100", message_type=operation)
        answer = await get(channel, clinic.results_queue)

    said = answer.get("answers", [answer])
    assert {each["reason"] for each in said} <= {"sender_mismatch", "malformed"}
    assert await waiting(door.world, victim.results_queue) == 0


async def test_nor_is_what_is_said_by_nobody(door: Door, clinic: Access) -> None:
    """The broker vouches for no user: the refusal is there for whoever watches the results, and in nobody's queue."""
    async with door.channel(clinic) as channel:
        await hear_of_the_unproven(door.world)
        await publish(channel, clinic, bill(request_id="whose"), user_id=None)

    await until(partial(_waits, door.world, "unproven"))
    assert await waiting(door.world, clinic.results_queue) == 0


async def test_answers_go_to_nobody_elses_queue(door: Door, clinic: Access) -> None:
    """A foreign reply queue: refused, written down, and the refusal goes to one's own results."""
    victim = await door.let_in("H2")

    async with door.channel(clinic) as channel:
        await publish(channel, clinic, bill(request_id="astray"), reply_to=victim.reply_queue)
        answer = await get(channel, clinic.results_queue)

    assert (answer["request_id"], answer["reason"]) == ("astray", "reply_queue_not_allowed")
    assert [row[1] for row in await refusals(door.world)] == ["reply_queue_not_allowed"]
    assert await waiting(door.world, victim.reply_queue) == 0


@pytest.mark.parametrize("header", ["CC", "BCC"])
async def test_a_copy_reaches_nobody(door: Door, clinic: Access, header: str) -> None:
    """Copies go through the same exchange, so no further than requests do: not to queues. What another queue of ours gets of it is put aside,
    and its sender, who is answered once, is not told that it was refused.
    A broker that asks for the right to each key takes no such message at all; what is taken then is the one without copies.
    """
    victim = await door.let_in("H2")
    astray = [
        victim.reply_queue,
        victim.results_queue,
        DEAD,
        EVENTS,
        "settle.settled.H2",
        "credit.130100",
        "quote.130100",
    ]

    said, refused = bill(request_id="copied"), False

    async with door.channel(clinic) as channel:
        try:
            await publish(channel, clinic, said, headers={header: astray}, reply_to=clinic.reply_queue)
        except ChannelAccessRefused:
            refused = True
    async with door.channel(clinic) as channel:
        if refused:
            await publish(channel, clinic, said, reply_to=clinic.reply_queue)
        answer = await get(channel, clinic.reply_queue)
    letters = await dead_letters(door.world, at_least=0 if refused else 1)

    assert (answer["request_id"], answer["reason"], answer["replayed"]) == ("copied", "no_binding", False)
    assert [letter.header.properties.headers["x-gongji-problems"] for letter in letters] == (
        [] if refused else [f"settle is taken by {SETTLEMENT}"]
    )
    for queue in (
        victim.reply_queue,
        victim.results_queue,
        clinic.reply_queue,
        clinic.results_queue,
        SETTLEMENT,
        DEAD,
    ):
        assert await waiting(door.world, queue) == 0


# ---- signatures ----


async def test_an_institution_with_keys_must_sign(door: Door, clinic: Access) -> None:
    """Its own key over this very body for this very operation; else it is refused, and written down."""
    private, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    keys = [public_key(private, "till-1").model_dump()]
    await door.world.institution("H1", amqp_user=clinic.user, signing_keys=keys)
    body = bill(request_id="signed")
    content = orjson.dumps(body)

    refused = [
        await door.ask(clinic, body, signature=signature)
        for signature in (
            None,
            sign(stranger, "till-1", "settle", content),
            sign(private, "till-1", "quote", content),
            sign(private, "till-1", "settle", content + b" "),
        )
    ]
    settled = await door.ask(clinic, body, signature=sign(private, "till-1", "settle", content))

    assert {(answer["outcome"], answer["reason"]) for answer in refused} == {("rejected", "signature_invalid")}
    assert settled["reason"] == "no_binding"
    assert [row[1] for row in await refusals(door.world)] == ["signature_invalid"] * 4


async def test_a_signed_bulk_message_is_signed_as_a_whole(door: Door, clinic: Access) -> None:
    """One signature over the message is each settlement's."""
    private = Ed25519PrivateKey.generate()
    await door.world.institution("H1", amqp_user=clinic.user, signing_keys=[public_key(private, "k").model_dump()])
    content = orjson.dumps(envelope(settlements=[bill(), bill()]))

    async with client(door.urls[clinic.user], name="tests") as till:
        signature = sign(private, "k", "settle_bulk", content)
        answer = await till.ask("settle_bulk", "130100", content, user_id=clinic.user, signature=signature)
        unsigned = await till.ask("settle_bulk", "130100", content, user_id=clinic.user)

    assert [each["reason"] for each in answer["answers"]] == ["no_binding"] * 2
    assert [each["reason"] for each in unsigned["answers"]] == ["signature_invalid"] * 2


# ---- what is not one's own ----

Attempt = Callable[[Channel, Access, Access], Awaitable[Any]]
OURS = (SETTLEMENT, BULK, INQUIRY, DEAD)


def _publish(exchange: str, key: Callable[[Access], str]) -> Attempt:
    async def attempt(channel: Channel, me: Access, victim: Access) -> None:
        content, properties = message(me, bill())
        await channel.basic_publish(content, exchange=exchange, routing_key=key(victim), properties=properties)

    return attempt


def _read(queue: Callable[[Access], str]) -> Attempt:
    async def attempt(channel: Channel, _: Access, victim: Access) -> None:
        await channel.basic_get(queue(victim))

    return attempt


ATTEMPTS: dict[str, Attempt] = {
    "publish a result": _publish(RESULTS, lambda victim: f"settle.settled.{victim.institution_id}"),
    "publish an event": _publish(EVENTS, lambda _: "account.debited"),
    "publish a dead letter": _publish(DEAD, lambda _: ""),
    "publish into a queue": _publish("", lambda _: SETTLEMENT),
    "publish into a reply queue": _publish("", lambda victim: victim.reply_queue),
    "publish under another key": _publish(REQUESTS, lambda _: "settle.130100.more"),
    "read a foreign reply": _read(lambda victim: victim.reply_queue),
    "read foreign results": _read(lambda victim: victim.results_queue),
    **{f"read {queue}": _read(lambda _, queue=queue: queue) for queue in OURS},  # type: ignore[misc]
    "declare a queue": lambda channel, me, _: channel.queue_declare(f"reply.{me.user}.more"),
    "declare our queue": lambda channel, *_: channel.queue_declare(SETTLEMENT, durable=True),
    "delete our queue": lambda channel, *_: channel.queue_delete(SETTLEMENT),
    "delete one's own queue": lambda channel, me, _: channel.queue_delete(me.reply_queue),
    "purge our queue": lambda channel, *_: channel.queue_purge(SETTLEMENT),
    "unbind our queue": lambda channel, *_: channel.queue_unbind(SETTLEMENT, REQUESTS, "settle.*"),
    "hear of everybody's results": lambda channel, me, _: channel.queue_bind(me.results_queue, RESULTS, "#"),
    "delete our exchange": lambda channel, *_: channel.exchange_delete(REQUESTS),
    "declare an exchange": lambda channel, me, _: channel.exchange_declare(f"reply.{me.user}.exchange"),
}


async def test_what_is_not_ones_own_stays_closed(door: Door, clinic: Access, servers: StackState) -> None:
    """The broker refuses each of these, whatever the worker would have said, and its log says to whom and what; honest requests go on being answered."""
    victim = await door.let_in("H2")
    refused = []

    for name, attempt in ATTEMPTS.items():
        async with door.channel(clinic) as channel:
            try:
                await attempt(channel, clinic, victim)
            except ChannelAccessRefused:
                refused.append(name)

    assert refused == list(ATTEMPTS)
    for what in (RESULTS, EVENTS, DEAD, SETTLEMENT, "settle.130100.more", victim.reply_queue, victim.results_queue):
        await until(partial(told_by_the_broker, servers, door.world, clinic, what, "access_refused"))
    assert (await door.ask(clinic, bill()))["reason"] == "no_binding"


def told_by_the_broker(servers: StackState, world: World, access: Access, what: str, why: str) -> bool:
    """Whether its log says, in a line and the one before it, who was refused in which vhost, what, and why."""
    lines = log_file(servers.keys_directory.parent, "rabbitmq").read_text(encoding="utf-8").splitlines()
    vhost = vhost_of(world.amqp_url)
    return any(
        f"vhost: '{vhost}', user: '{access.user}'" in before and f"exception {why}" in line and f"'{what}'" in line
        for before, line in pairwise(lines)
    )


async def hear_of_the_unproven(world: World) -> None:
    """A queue of what is answered to nobody in particular."""
    connection = await connect([world.amqp_url], name="tests")
    channel = await open_channel(connection, confirms=False)
    await channel.queue_declare("unproven", durable=True)
    await channel.queue_bind("unproven", RESULTS, "settle.rejected.unknown")
    await close(connection)


async def _waits(world: World, queue: str) -> bool:
    return await waiting(world, queue) == 1


async def publish_as_admin(world: World, key: str) -> None:
    connection = await connect([world.amqp_url], name="tests")
    channel = await open_channel(connection, confirms=True)
    await channel.basic_publish(b"{}", exchange=RESULTS, routing_key=key)
    await close(connection)
