"""`python -m deploy.credentials [FOLDER]`: the secrets that docker-compose.yml mounts, made where missing.

What is there stays: a password in use, or the keys that ID numbers are stored under, are never made anew. To
change a password, delete its file and run this again.
"""

import base64
import json
import os
import secrets
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from services.binding.keyring import KeyRing
from shared.domain.times import shanghai_date, system_clock

FOLDER = Path(__file__).with_name("secrets")
DEFINITIONS = Path(__file__).with_name("rabbitmq") / "definitions.json"
DATABASE = "gongji"
DATABASE_LOGINS = ("migrate", "settlement", "binding", "bookkeeping", "keys")


def issue(folder: Path) -> None:
    """Make in `folder` whatever is missing, and whatever follows from it."""
    # Containers read single files as users of their own, so it is the folder that is closed to others.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    _kept(folder / "postgres_password", _password)
    for name in DATABASE_LOGINS:
        password = _kept(folder / f"{name}_password", _password)
        _write(folder / f"{name}_database_url", f"postgresql://{name}_login:{password}@postgres:5432/{DATABASE}")
    definitions = json.loads(DEFINITIONS.read_text(encoding="utf-8"))
    (vhost,) = (each["name"] for each in definitions["vhosts"])
    for user in definitions["users"]:
        name = user["name"]
        password = _kept(folder / f"{name}_amqp_password", _password)
        user["password_hash"] = rabbitmq_hash(password)
        user["hashing_algorithm"] = "rabbit_password_hashing_sha256"
        _write(folder / f"{name}_amqp_url", f"amqp://{name}:{password}@rabbitmq:5672/{vhost}")
    _write(folder / "rabbitmq_definitions", json.dumps(definitions))
    _kept(folder / "key_ring", lambda: _ring(folder))
    # Where an identity provider issues the tokens, its public key takes this one's place.
    _kept(folder / "jwt_public_key", lambda: _public(_kept(folder / "jwt_private_key", _private, mode=0o400)))


def rabbitmq_hash(password: str) -> str:
    """Give a password the way RabbitMQ stores it: base64 of a salt and the SHA-256 of salt and password."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + sha256(salt + password.encode()).digest()).decode()


def _kept(file: Path, make: Callable[[], str], mode: int = 0o444) -> str:
    if not file.exists():
        _write(file, make(), mode)
    return file.read_text(encoding="utf-8")


def _write(file: Path, content: str, mode: int = 0o444) -> None:
    """Write it whole or not at all: half a key would be kept for ever."""
    half = file.with_name(f".{file.name}")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as writing:
        writing.write(content)
        writing.flush()
        os.fsync(writing.fileno())
    half.chmod(mode)
    half.replace(file)


def _password() -> str:
    return secrets.token_urlsafe(32)


def _ring(folder: Path) -> str:
    return KeyRing.first(
        folder / "id_number_key", folder / "blind_index_key", made_on=shanghai_date(system_clock())
    ).text


def _private() -> str:
    made = Ed25519PrivateKey.generate()
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _public(private: str) -> str:
    known = load_pem_private_key(private.encode(), password=None)
    return known.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


if __name__ == "__main__":
    if len(sys.argv) > 2 or sys.argv[-1].startswith("-"):
        sys.exit("usage: python -m deploy.credentials [FOLDER]")
    chosen = Path(sys.argv[1]) if sys.argv[1:] else FOLDER
    issue(chosen)
    print(f"the secrets are in {chosen}; keep a copy of key_ring")  # noqa: T201
