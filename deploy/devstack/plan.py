"""What is settled before anything starts: ports, passwords and the addresses that follow."""

import os
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from deploy.devstack import ports
from deploy.devstack.certificates import Certificates
from deploy.devstack.identity import ProcessRecord
from deploy.devstack.postgres import database_url
from deploy.devstack.rabbitmq import RabbitPorts, amqp_url, management_url
from deploy.devstack.stack import AMQP, DATABASE, Stack
from deploy.devstack.state import Credentials, Phase, StackState, Urls

MANAGEMENT = "GONGJI_RABBITMQ_MANAGEMENT_URL"

POSTGRES = "postgres"
RABBIT = ("amqp", "management", "distribution", "epmd")


def given(variable: str) -> str | None:
    """The address of a server that someone else runs; None when the stack runs its own."""
    return os.environ.get(variable) or None


def first_state(
    directory: Path,
    stack: Stack,
    previous: StackState | None,
    assigned: dict[str, int],
    *,
    started_with: tuple[str, ...] = (),
    tls: bool = False,
) -> StackState:
    """The state to begin with; what an earlier start of this directory used is kept."""
    certificates = certificates_of(directory) if tls else None
    credentials = previous.credentials if previous else new_credentials()
    return StackState(
        phase=Phase.STARTING,
        supervisor=ProcessRecord.of("supervisor", os.getpid()),
        started_with=started_with,
        ports=assigned,
        credentials=credentials,
        urls=urls(assigned, credentials, stack, certificates),
        keys_directory=directory / "keys",
    )


def claimed_ports(stack: Stack, previous: StackState | None) -> AbstractContextManager[dict[str, int]]:
    """A port for each server and service, the stack's own while the block lasts."""
    names = (POSTGRES, *RABBIT, *(service.name for service in stack.services))
    return ports.claimed(names, previous.ports if previous else {})


def new_credentials() -> Credentials:
    return Credentials(postgres_password=secrets.token_hex(16), rabbitmq_password=secrets.token_hex(16))


def certificates_of(directory: Path) -> Certificates:
    return Certificates(directory / "certificates")


def urls(
    assigned: Mapping[str, int], credentials: Credentials, stack: Stack, certificates: Certificates | None = None
) -> Urls:
    """The addresses of the stack; a server given in the environment takes the place of ours."""
    rabbit = rabbit_ports(assigned)
    own_database = database_url(assigned[POSTGRES], credentials.postgres_password, certificates=certificates)
    own_amqp = amqp_url(rabbit.amqp, credentials.rabbitmq_password, certificates)
    own_management = management_url(rabbit.management, credentials.rabbitmq_password)
    return Urls(
        database=given(DATABASE) or own_database,
        amqp=given(AMQP) or own_amqp,
        rabbitmq_management=given(MANAGEMENT) if given(AMQP) else own_management,
        services={service.name: f"http://{ports.LOOPBACK}:{assigned[service.name]}" for service in stack.services},
    )


def rabbit_ports(assigned: Mapping[str, int]) -> RabbitPorts:
    return RabbitPorts(**{name: assigned[name] for name in RABBIT})
