"""A private RabbitMQ node, with an epmd of its own."""

import hashlib
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from deploy.devstack.certificates import Certificates
from deploy.devstack.failure import StackFailed
from deploy.devstack.keys import write_private
from deploy.devstack.ports import LOOPBACK
from deploy.devstack.processes import Command, ProcessSpec, inherited_environment
from deploy.devstack.readiness import accepts_connections, answers
from deploy.devstack.state import log_file

USER = "gongji"

# Few threads: several stacks and their tests share one small machine.
EMULATOR_ARGUMENTS = "+S 2:2 +SDcpu 1:1 +A 4 +sbwt none -kernel inet_dist_use_interface {{{host}}}"

CONFIGURATION = """\
{listener}
management.tcp.ip = {host}
management.tcp.port = {management}
default_user = {user}
default_pass = {password}
default_vhost = /
log.file = false
log.console = true
log.console.use_colors = off
raft.wal_max_size_bytes = 67108864
"""
IN_THE_CLEAR = "listeners.tcp.1 = {host}:{amqp}"
# A client may say who it is by a certificate of the stack's own authority instead of a password.
ENCRYPTED = """\
listeners.tcp = none
listeners.ssl.1 = {host}:{amqp}
ssl_options.cacertfile = {authority}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_cert_login_from = common_name
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = AMQPLAIN
auth_mechanisms.3 = EXTERNAL"""


def amqp_url(port: int, password: str, certificates: Certificates | None = None, host: str = LOOPBACK) -> str:
    if certificates is None:
        return f"amqp://{USER}:{password}@{host}:{port}/"
    return f"amqps://{USER}:{password}@{host}:{port}/?cafile={quote(str(certificates.authority))}"


def management_url(port: int, password: str, host: str = LOOPBACK) -> str:
    return f"http://{USER}:{password}@{host}:{port}"


@dataclass(frozen=True)
class RabbitPorts:
    amqp: int
    management: int
    distribution: int
    epmd: int


@dataclass(frozen=True)
class Rabbit:
    """A node that listens on `host` and keeps what it has under `directory`."""

    directory: Path
    server: Path
    ports: RabbitPorts
    password: str
    certificates: Certificates | None = None
    host: str = LOOPBACK

    @property
    def amqp_url(self) -> str:
        return amqp_url(self.ports.amqp, self.password, self.certificates, self.host)

    @property
    def management_url(self) -> str:
        return management_url(self.ports.management, self.password, self.host)

    @property
    def node_name(self) -> str:
        digest = hashlib.sha256(str(self.directory.resolve()).encode()).hexdigest()[:8]
        return f"gongji-{digest}@localhost"

    def epmd(self) -> ProcessSpec:
        """The node's name server; without it the node would start a daemon that outlives it."""
        program = shutil.which("epmd")
        if program is None:
            raise StackFailed("epmd is missing: it is part of Erlang, which RabbitMQ runs on")
        return ProcessSpec(
            Command(
                name="epmd",
                argv=(program,),
                environment=self.environment(),
                log=log_file(self.directory, "epmd"),
            ),
            is_ready=lambda: accepts_connections(self.ports.epmd, self.host),
        )

    def node(self) -> ProcessSpec:
        self._write_configuration()
        return ProcessSpec(
            Command(
                name="rabbitmq",
                argv=(str(self.server),),
                environment=self.environment(),
                log=log_file(self.directory, "rabbitmq"),
            ),
            is_ready=self._is_ready,
            ready_within_s=120.0,
            stop_signals=((signal.SIGTERM, 30.0),),
        )

    @property
    def home(self) -> Path:
        return self.directory / "rabbitmq"

    def configuration(self) -> str:
        """What it reads from `rabbitmq.conf`."""
        return CONFIGURATION.format(
            listener=self._listener(),
            host=self.host,
            management=self.ports.management,
            user=USER,
            password=self.password,
        )

    def _write_configuration(self) -> None:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        plugins = ["rabbitmq_management", *(["rabbitmq_auth_mechanism_ssl"] if self.certificates else [])]
        (self.home / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
        write_private(self.home / "rabbitmq.conf", self.configuration().encode())

    def _listener(self) -> str:
        if self.certificates is None:
            return IN_THE_CLEAR.format(host=self.host, amqp=self.ports.amqp)
        return ENCRYPTED.format(
            host=self.host,
            amqp=self.ports.amqp,
            authority=self.certificates.authority,
            certificate=self.certificates.server,
            key=self.certificates.server_key,
        )

    def environment(self) -> dict[str, str]:
        """How its programs find it and each other."""
        return {
            **inherited_environment(),
            "HOME": str(self.home),
            "ERL_EPMD_ADDRESS": self.host,
            "ERL_EPMD_PORT": str(self.ports.epmd),
            "ERL_ZFLAGS": "-start_epmd false",
            "RABBITMQ_NODENAME": self.node_name,
            "RABBITMQ_NODE_PORT": str(self.ports.amqp),
            "RABBITMQ_DIST_PORT": str(self.ports.distribution),
            "RABBITMQ_MNESIA_BASE": str(self.home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.home / "no-rabbitmq-env.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": EMULATOR_ARGUMENTS.format(host=self.host.replace(".", ",")),
            # The start script then becomes the Erlang machine instead of waiting for it, so that
            # every signal, the one at our own death included, reaches the machine itself.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    async def _is_ready(self) -> bool:
        overview = f"{self.management_url}/api/overview"
        return await accepts_connections(self.ports.amqp, self.host) and await answers(overview)
