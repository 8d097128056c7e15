"""The secrets step: everything that docker-compose.yml mounts, made once and shown to nobody."""

import ast
import base64
import json
import os
import re
import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from deploy import credentials
from services.binding.keyring import KeyRing
from tests.support.compose import COMPOSE, ROOT, SERVICES, mounted


@pytest.fixture
def issued(tmp_path: Path) -> Path:
    """A folder with every secret, made the way an operator makes it."""
    folder = tmp_path / "secrets"
    credentials.issue(folder)
    return folder


def test_every_secret_is_declared_and_issued(issued: Path) -> None:
    """What a service mounts is declared; what is declared is made; nothing is declared for nobody."""
    used = {source for service in SERVICES for source in mounted(service).values()}
    made = {file.name for file in issued.iterdir()}

    assert used == set(COMPOSE["secrets"])
    assert {secret["file"] for secret in COMPOSE["secrets"].values()} == {
        f"deploy/secrets/{name}" for name in COMPOSE["secrets"]
    }
    assert used <= made
    # These stay on the machine that made them.
    assert made - used == {"settlement_amqp_password", "bookkeeping_amqp_password", "jwt_private_key"}
    assert credentials.FOLDER == ROOT / "deploy" / "secrets"


def test_secrets_are_closed_to_others(issued: Path) -> None:
    """Other users of the machine cannot enter the folder, and nothing in it is committed."""
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()

    assert stat.S_IMODE(issued.stat().st_mode) == 0o700
    assert stat.S_IMODE((issued / "jwt_private_key").stat().st_mode) == 0o400
    assert "deploy/secrets/" in ignored


def test_secrets_are_never_made_anew(issued: Path) -> None:
    """A second run keeps every password and key: data is stored under them."""
    kept = {file.name: file.read_bytes() for file in issued.iterdir() if file.name != "rabbitmq_definitions"}

    credentials.issue(issued)

    assert {name: (issued / name).read_bytes() for name in kept} == kept


def test_the_first_release_s_keys_go_into_the_ring(tmp_path: Path) -> None:
    """An upgrade makes the ring of the two files that data is stored under, and leaves them where they are."""
    old = {name: base64.b64encode(os.urandom(32)).decode() for name in ("id_number_key", "blind_index_key")}
    for name, key in old.items():
        (tmp_path / name).write_text(key, encoding="utf-8")

    credentials.issue(tmp_path)

    (line,) = KeyRing.parse((tmp_path / "key_ring").read_text(encoding="utf-8")).lines.values()
    assert (line.key_id, line.suite) == (1, "aes-256-gcm-1")
    assert (line.sealing, line.index) == (old["id_number_key"], old["blind_index_key"])
    assert {name: (tmp_path / name).read_text(encoding="utf-8") for name in old} == old


def test_a_deleted_password_is_replaced_everywhere(issued: Path) -> None:
    """To change a password: delete its file, and what carries it follows."""
    before = (issued / "settlement_database_url").read_text(encoding="utf-8")
    (issued / "settlement_password").unlink()

    credentials.issue(issued)

    after = (issued / "settlement_database_url").read_text(encoding="utf-8")
    assert after != before
    assert (issued / "settlement_password").read_text(encoding="utf-8") in after


def test_secrets_are_not_printed(tmp_path: Path) -> None:
    """The command says where they are, and shows none."""
    folder = tmp_path / "secrets"

    ended = subprocess.run(
        [sys.executable, "-m", "deploy.credentials", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert str(folder) in ended.stdout
    assert not ended.stderr
    assert not [file.name for file in folder.iterdir() if file.read_text(encoding="utf-8") in ended.stdout]


@pytest.mark.parametrize("name", ["settlement", "bookkeeping"])
def test_broker_gets_the_hash_of_a_service_s_password(issued: Path, name: str) -> None:
    """RabbitMQ's salted SHA-256 of the password in the service's URL, and no password."""
    text = (issued / "rabbitmq_definitions").read_text(encoding="utf-8")
    password = (issued / f"{name}_amqp_password").read_text(encoding="utf-8")
    (user,) = (each for each in json.loads(text)["users"] if each["name"] == name)
    raw = base64.b64decode(user["password_hash"])

    assert raw[4:] == sha256(raw[:4] + password.encode()).digest()
    assert password not in text
    assert f":{password}@" in (issued / f"{name}_amqp_url").read_text(encoding="utf-8")


def test_no_password_is_written_down() -> None:
    """Passwords come from files: no file of the deployment has one, or a URL with one."""
    deployed = [ROOT / "docker-compose.yml", *(ROOT / "deploy").rglob("*")]
    texts = {
        file: file.read_text(encoding="utf-8")
        for file in deployed
        if file.suffix in {".yml", ".yaml", ".json", ".conf", ".sql", ".sh"} or file.name == "Dockerfile"
        if credentials.FOLDER not in file.parents
    }
    variables = [
        (name, variable)
        for name, service in SERVICES.items()
        for variable in service.get("environment", {})
        if re.search(r"PASS|SECRET|TOKEN|KEY|URL", variable)
    ]

    assert len(texts) >= 5
    for file, text in texts.items():
        assert not re.search(r"://[^\s/:@]+:[^\s/@]+@", text), file
        assert not re.search(r"PASSWORD '|password_hash|\"password\"|default_pass", text), file
    assert {name for _, name in variables if not name.endswith(("_FILE", "_DIR"))} == set()


def test_secrets_step_needs_nothing_but_the_image() -> None:
    """The step can run in the image: it imports no test or development dependency."""
    tree = ast.parse(Path(credentials.__file__).read_text(encoding="utf-8"))
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names]
    imported = {name.partition(".")[0] for name in names}

    assert imported - sys.stdlib_module_names == {"cryptography", "services", "shared"}
