"""docker-compose.yml and the image: what can be held against the code without a Docker engine."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from deploy import credentials
from shared.rabbit import topology
from tests.support.compose import COMPOSE, ROOT, SERVICES, mounted

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
DEPLOY_DOC = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
BROKER = (ROOT / "deploy" / "rabbitmq" / "rabbitmq.conf").read_text(encoding="utf-8")

SETTINGS = {
    "settlement": "services.settlement.settings:SettlementSettings",
    "bulk": "services.settlement.settings:SettlementSettings",
    "inquiry": "services.settlement.settings:SettlementSettings",
    "binding": "services.binding.settings:BindingSettings",
    "bookkeeping": "services.bookkeeping.settings:BookkeepingSettings",
    "migrate": "shared.postgres.__main__:MigrateSettings",
    "declare": "shared.rabbit.__main__:DeclareSettings",
}
LONG_RUNNING = {"postgres", "rabbitmq", "settlement", "bulk", "inquiry", "binding", "bookkeeping"}
# Tells where the files are, before there are settings.
SECRETS_DIR = "GONGJI_SECRETS_DIR"


def settings_of(service: str) -> type[BaseSettings]:
    module, _, name = SETTINGS[service].partition(":")
    kind: type[BaseSettings] = getattr(import_module(module), name)
    return kind


def seconds(duration: str) -> float:
    amount = re.fullmatch(r"(\d+)s", duration)
    assert amount, duration
    return float(amount[1])


def mebibytes(size: str) -> int:
    amount = re.fullmatch(r"(\d+)([mg])", size)
    assert amount, size
    return int(amount[1]) * {"m": 1, "g": 1024}[amount[2]]


# ---- the services ----


def test_services_are_these() -> None:
    """Every service of the project here has a settings class to hold it against."""
    ours = {name for name, service in SERVICES.items() if service["image"].startswith("gongji:")}

    assert ours == set(SETTINGS) | {"keys"}
    assert set(SERVICES) == set(SETTINGS) | LONG_RUNNING | {"keys"}


@pytest.mark.parametrize("service", SERVICES)
def test_image_has_a_tag(service: str) -> None:
    """An image without a tag is another one tomorrow; ours carries the project's version."""
    name, _, tag = SERVICES[service]["image"].partition(":")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert tag not in {"", "latest"}
    assert name != "gongji" or tag == project["version"]


@pytest.mark.parametrize("service", SETTINGS)
def test_command_names_a_module_that_says_what_it_is_missing(service: str) -> None:
    """The command of docker-compose.yml, without settings, ends at once and names one."""
    python, *arguments = SERVICES[service]["command"]

    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert python == "python"
    assert ended.returncode in {1, 2}
    assert "GONGJI_" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_keys_are_kept_by_a_job_that_starts_only_when_asked(tmp_path: Path) -> None:
    """Nothing but the ring and a login of its own; without them it says what it is missing."""
    job = SERVICES["keys"]
    python, *arguments = job["entrypoint"] + job["command"]

    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "GONGJI_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (python, ended.returncode) == ("python", 2)
    assert "set GONGJI_KEY_RING_FILE" in ended.stderr
    assert job["profiles"] == ["keys"]
    assert mounted("keys") == {"gongji_database_url": "keys_database_url", "key_ring": "key_ring"}
    assert job["environment"]["GONGJI_KEY_RING_FILE"] == "/run/secrets/key_ring"
    assert job["networks"] == ["database"]


@pytest.mark.parametrize("service", SETTINGS)
def test_every_variable_is_a_setting(service: str) -> None:
    """A misspelt variable would be ignored in silence."""
    fields = settings_of(service).model_fields
    given = [name for name in SERVICES[service]["environment"] if name != SECRETS_DIR]
    files = [name for name in mounted(service) if name.startswith("gongji_")]

    assert {name.removeprefix("GONGJI_").lower() for name in given} <= set(fields)
    assert {name.removeprefix("gongji_") for name in files} <= set(fields)


@pytest.mark.parametrize("service", SETTINGS)
def test_settings_are_complete(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docker-compose.yml gives, and the secrets as issued, is all that the service asks for."""
    kind = settings_of(service)
    issued, seen = tmp_path / "secrets", tmp_path / "run-secrets"
    credentials.issue(issued)
    seen.mkdir()
    for target, source in mounted(service).items():
        shutil.copy(issued / source, seen / target)
    for name, value in SERVICES[service]["environment"].items():
        monkeypatch.setenv(name, value.replace("/run/secrets", str(seen)))

    settings = kind(_secrets_dir=seen)

    for name, value in settings.model_dump(exclude_none=True).items():
        if name.endswith("_url"):
            assert value == (seen / f"gongji_{name}").read_text(encoding="utf-8")
        if name.endswith("_file"):
            assert Path(value).is_file()


@pytest.mark.parametrize("service", ["settlement", "bulk", "inquiry", "binding", "bookkeeping"])
def test_drain_fits_into_the_grace_period(service: str) -> None:
    """A service that is killed while draining hands its work to another, late."""
    drain_s = float(SERVICES[service]["environment"].get("GONGJI_DRAIN_TIMEOUT_S", 20))

    assert seconds(SERVICES[service]["stop_grace_period"]) >= drain_s + 20


def test_senders_are_authenticated_where_they_reach_the_broker() -> None:
    """The AMQP port is published, so a sender must be who it says."""
    assert SERVICES["rabbitmq"]["ports"]
    for name in ("settlement", "bulk", "inquiry"):
        assert SERVICES[name]["environment"]["GONGJI_AUTHENTICATE_SENDERS"] == "true"


@pytest.mark.parametrize("service", ["settlement", "bulk", "inquiry"])
def test_workers_that_share_a_queue_have_a_lane_each(service: str) -> None:
    share = SERVICES[service]["deploy"].get("replicas", 1) > 1

    assert (SERVICES[service]["environment"].get("GONGJI_LANES") == "1") is share


# ---- order and health ----


def test_jobs_are_done_before_the_services_start() -> None:
    """Nobody waits for a service that has no health check, or merely for a job to begin."""
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            expected = "service_healthy" if other in LONG_RUNNING else "service_completed_successfully"
            assert how == {"condition": expected}, (name, other)
    assert "migrate" in SERVICES["settlement"]["depends_on"]
    assert "declare" in SERVICES["settlement"]["depends_on"]
    assert "migrate" in SERVICES["binding"]["depends_on"]


def test_the_database_s_log_repeats_no_rows() -> None:
    """What it says in DETAIL of a row that it does not take, and whose it is, it keeps to itself."""
    assert "log_error_verbosity=terse" in SERVICES["postgres"]["command"]


@pytest.mark.parametrize(("service", "program"), [("postgres", "pg_isready"), ("rabbitmq", "rabbitmq-diagnostics")])
def test_servers_are_asked_by_their_own_program(service: str, program: str) -> None:
    """The servers' health is what their own program says."""
    kind, command, *_ = SERVICES[service]["healthcheck"]["test"]

    assert (kind, command) == ("CMD", program)


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server that gives every request this answer; its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def health_of(service: str, port: int) -> int:
    """The exit code of the health check of a service that listens on this port."""
    kind, python, *arguments = SERVICES[service]["healthcheck"]["test"]
    inside = f"127.0.0.1:{SERVICES[service]['environment']['GONGJI_HTTP_PORT']}/readyz"
    assert (kind, python) == ("CMD", "python")
    assert any(inside in argument for argument in arguments)
    command = [argument.replace(inside, f"127.0.0.1:{port}/readyz") for argument in arguments]
    # As if the machine's containers were given a proxy.
    environment = {"PATH": os.environ["PATH"], "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, timeout=20, check=False
    ).returncode


@pytest.mark.parametrize("service", ["settlement", "binding", "bookkeeping"])
def test_health_check_tells_ready_from_not(service: str) -> None:
    """The one-liner passes at 200, and fails at 503 and where nobody answers."""
    with answering(200) as port:
        ready = health_of(service, port)
    with answering(503) as port:
        not_ready = health_of(service, port)
    nobody = health_of(service, port)

    assert ready == 0
    assert not_ready != 0
    assert nobody != 0


# ---- hardening ----


@pytest.mark.parametrize("service", SERVICES)
def test_service_is_hardened(service: str) -> None:
    """Limits, no root, no capabilities, nothing to write to but what is named."""
    here = SERVICES[service]
    limits = here["deploy"]["resources"]["limits"]

    assert here["read_only"] is True
    assert here["cap_drop"] == ["ALL"]
    assert here["security_opt"] == ["no-new-privileges:true"]
    assert here["user"] not in {"root", "0", "0:0"}
    assert limits.keys() == {"cpus", "memory", "pids"}
    assert "cap_add" not in here
    assert "privileged" not in here
    assert here["restart"] == ("unless-stopped" if service in LONG_RUNNING else "no")
    assert ("healthcheck" in here) == (service in LONG_RUNNING)
    assert here["logging"]["options"]


def test_only_two_ports_are_published_and_both_here_only() -> None:
    """The database is on a network without a way in; what is published listens on this machine."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {
        "rabbitmq": ["${AMQP_LISTEN:-127.0.0.1:5672}:5672"],
        "binding": ["${HTTP_LISTEN:-127.0.0.1:8080}:8080"],
    }
    assert SERVICES["postgres"]["networks"] == ["database"]
    assert COMPOSE["networks"]["database"] == {"internal": True}


def test_broker_holds_publishers_back_below_its_memory_limit() -> None:
    """The broker's own limit comes before the kernel's."""
    watermark = re.search(r"^vm_memory_high_watermark\.absolute = (\d+)MiB$", BROKER, re.MULTILINE)
    limit = mebibytes(SERVICES["rabbitmq"]["deploy"]["resources"]["limits"]["memory"])

    assert watermark
    assert 0.4 * limit <= int(watermark[1]) <= 0.7 * limit


def test_worker_may_touch_the_project_s_queues_and_no_others() -> None:
    """What topology.py declares lies within the worker's permissions, an institution's queues do not."""
    allowed = permissions_of("settlement")
    names = [topology.REQUESTS, topology.RESULTS, topology.LATER, topology.EVENTS, topology.DEAD, *topology.QUEUES]

    for name in names:
        assert all(re.search(allowed[kind], name) for kind in ("configure", "write", "read"))
    for kind in ("configure", "write", "read"):
        assert not re.search(allowed[kind], "reply.hospital_1.answers")
        assert not re.search(allowed[kind], "amq.topic")
    # Answers go to reply queues through the default exchange, which has this name in permissions.
    assert re.search(allowed["write"], "amq.default")
    assert not re.search(allowed["configure"], "amq.default")


def test_bookkeeper_may_only_tell() -> None:
    """It publishes events, and can neither send a request, nor answer one, nor read anything."""
    allowed = permissions_of("bookkeeping")

    assert re.search(allowed["write"], topology.EVENTS)
    for name in [topology.REQUESTS, topology.RESULTS, topology.LATER, topology.DEAD, *topology.QUEUES, "amq.default"]:
        assert not re.search(allowed["write"], name)
    for name in [topology.EVENTS, topology.RESULTS, topology.LATER, *topology.QUEUES]:
        assert not re.search(allowed["read"], name)
        assert not re.search(allowed["configure"], name)


def permissions_of(user: str) -> dict[str, str]:
    permissions = json.loads(credentials.DEFINITIONS.read_text(encoding="utf-8"))["permissions"]
    (found,) = (each for each in permissions if each["user"] == user)
    return {kind: found[kind] for kind in ("configure", "write", "read")}


# ---- the image ----


def instructions(stage: int) -> list[tuple[str, str]]:
    """The instructions of one stage of the Dockerfile, comments and line breaks taken out."""
    lines = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    stages: list[list[tuple[str, str]]] = [[]]
    for line in filter(None, lines):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, " ".join(rest.split())))
    return stages[stage]


def test_image_is_built_from_the_lock_file_in_two_stages() -> None:
    """What runs is what was locked, without the tools that built it."""
    base = dict(instructions(0))["ARG"]
    build = " ".join(rest for word, rest in instructions(1) if word == "RUN")
    final = instructions(-1)

    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.11-slim\S*", base)
    assert build.count("python deploy/bootstrap.py --no-dev --no-editable") == 2
    assert "pip install" not in DOCKERFILE
    assert [rest for word, rest in final if word == "COPY"] == ["--from=build /opt/gongji /opt/gongji"]


def test_image_can_be_built_with_what_is_optional() -> None:
    """Both steps take the extras that `docker compose build` is given, and what docs/deploy.md names is one."""
    synced = [rest for word, rest in instructions(1) if word == "RUN"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    documented = re.findall(r'GONGJI_IMAGE_EXTRAS="--extra (\w+)" docker compose build', DEPLOY_DOC)

    assert COMPOSE["services"]["migrate"]["build"]["args"] == {"EXTRAS": "${GONGJI_IMAGE_EXTRAS:-}"}
    assert [each.endswith("${EXTRAS}") for each in synced] == [True, True]
    assert documented == list(extras)


def test_image_runs_as_a_fixed_user() -> None:
    """The image and docker-compose.yml name the same user, by number."""
    final = dict(instructions(-1))

    assert final["USER"] == SERVICES["settlement"]["user"] == "10001:10001"
    assert "PYTHONDONTWRITEBYTECODE=1" in final["ENV"]
    assert "HEALTHCHECK" not in final
    assert json.loads(final["CMD"]) == SERVICES["settlement"]["command"]


def test_image_has_every_package_and_no_secret() -> None:
    """What the wheel is made of goes into the build, the secrets do not."""
    ignored = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    backend = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]["build-backend"]

    assert ignored[0] == "*"
    assert {f"!{name}" for name in backend["module-name"]} <= set(ignored)
    assert ignored.index("deploy/secrets") > ignored.index("!deploy")


# ---- as a whole ----


def test_whatever_is_mounted_exists() -> None:
    """Docker makes a missing file into an empty directory."""
    mounts = [
        mount.partition(":")[0]
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
        if mount.startswith("./")
    ]

    assert mounts
    assert [mount for mount in mounts if not (ROOT / mount).is_file()] == []


def test_docker_compose_agrees() -> None:
    """Docker's own reader takes the file, where there is one."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("no docker compose here")

    read = subprocess.run(
        shlex.split(f"{docker} compose --file {ROOT / 'docker-compose.yml'} config --quiet"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert read.returncode == 0, read.stderr
