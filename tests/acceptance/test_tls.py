"""A stack whose servers speak TLS only and know their senders, from outside."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import asyncpg
import pytest
from aiormq.exceptions import AMQPConnectionError, AMQPError, ProbableAuthenticationError

from deploy.devstack.certificates import Certificates
from shared.rabbit.connection import connect
from tests.support.stacks import Stack

LET_IN = ("institution", "add", "--kind", "hospital", "--region", "130100", "--name", "Hospital")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Up with --tls, and senders authenticated; with a hospital that has a password and one that has a certificate."""
    started = Stack(tmp_path_factory.mktemp("tls"), GONGJI_AUTHENTICATE_SENDERS="true")
    started.run("up", "--tls")
    try:
        yield started
    finally:
        started.run("down")


def test_an_institution_pays_in_an_encrypted_world(stack: Stack) -> None:
    """With a password, and with a certificate instead; nobody as somebody who has not been let in."""
    password = stack.json(*LET_IN, "H1")
    certificate = stack.json(*LET_IN, "H2", "--certificate")

    answers = [stack.json("quote", "-i", who, "-r", "130100", "-p", "NOBODY", "-a", "1") for who in ("H1", "H2")]
    refused = stack.json("quote", "-i", "H3", "-r", "130100", "-p", "NOBODY", "-a", "1", code=1)

    assert password["amqp_url"].startswith("amqps://H1:")
    assert (certificate["password"], urlsplit(certificate["amqp_url"]).password) == (None, None)
    assert {answer["reason"] for answer in answers} == {"person_unknown"}
    assert refused["reason"] == "sender_mismatch"
    stack.run("audit")


def test_a_certificate_is_good_for_its_own_user_only(stack: Stack) -> None:
    """The name in the certificate decides, whatever the URL says; without one, EXTERNAL lets nobody in."""
    stack.json(*LET_IN, "H4", "--certificate")
    url = urlsplit(stack.json(*LET_IN, "H5", "--certificate")["amqp_url"])
    without = "&".join(f"{name}={value}" for name, value in parse_qsl(url.query) if name in ("auth", "cafile"))

    async def user_of(query: str) -> str | None:
        connection = await connect([url._replace(query=query).geturl()], name="tests")
        channel = await connection.channel()
        try:
            await channel.basic_get("results.H4")
        except AMQPError as error:
            return str(error)
        finally:
            await connection.close()
        return None

    assert "refused for user 'H5'" in (asyncio.run(user_of(url.query)) or "")
    with pytest.raises(ProbableAuthenticationError):
        asyncio.run(user_of(without))


def test_nothing_is_said_in_the_clear(stack: Stack, tmp_path: Path) -> None:
    """Neither server lets anybody in without TLS, nor does a client trust one whose authority it does not know."""
    reach = stack.json("env")
    amqp, database = urlsplit(reach["GONGJI_AMQP_URL"]), urlsplit(reach["GONGJI_DATABASE_URL"])
    others = Certificates(tmp_path)
    others.create_missing()

    async def knock() -> tuple[object, ...]:
        return await asyncio.gather(
            connect([amqp._replace(scheme="amqp", query="").geturl()], name="tests"),
            asyncpg.connect(database._replace(query="sslmode=disable").geturl()),
            connect([amqp._replace(query=f"cafile={others.authority}").geturl()], name="tests"),
            asyncpg.connect(database._replace(query=f"sslmode=verify-full&sslrootcert={others.authority}").geturl()),
            return_exceptions=True,
        )

    *in_the_clear, broker, server = asyncio.run(knock())

    assert [type(each) for each in in_the_clear] == [
        AMQPConnectionError,
        asyncpg.InvalidAuthorizationSpecificationError,
    ]
    assert "CERTIFICATE_VERIFY_FAILED" in str(broker)
    assert "CERTIFICATE_VERIFY_FAILED" in str(server)
