"""Where the servers are: the environment first, then the files of GONGJI_SECRETS_DIR, else the local stack."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.devstack import state

PROJECT = Path(__file__).resolve().parent.parent
STATE_DIRECTORY = "GONGJI_STATE_DIR"


class NotReachable(Exception):
    """Something that a command needs is not known; the message says what to do."""


def state_directory() -> Path:
    """Where the local stack keeps its state: GONGJI_STATE_DIR, else .local in the checkout, else here."""
    if given := os.environ.get(STATE_DIRECTORY):
        return Path(given)
    checkout = (PROJECT / "pyproject.toml").exists()
    return (PROJECT if checkout else Path.cwd()) / ".local"


@dataclass(frozen=True, slots=True)
class Environment:
    """GONGJI_… variables, those of the local stack underneath those of the process."""

    variables: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        """Raises NotReachable where nobody has said it."""
        try:
            return self.variables[name]
        except KeyError:
            raise NotReachable(f"no stack is running here: run `gongji up`, or set {name}") from None

    def get(self, name: str) -> str | None:
        return self.variables.get(name)


def environment(directory: Path | None = None) -> Environment:
    running = state.read(directory or state_directory())
    local = running.environment() if running else {}
    given = {name: value for name, value in os.environ.items() if name.startswith("GONGJI_")}
    return Environment({**local, **_of_files(given.get("GONGJI_SECRETS_DIR")), **given})


def _of_files(directory: str | None) -> dict[str, str]:
    """Variables that are told in files of their names in lower case, as the services are told them in a container."""
    files = Path(directory).glob("gongji_*") if directory else ()
    return {file.name.upper(): file.read_text(encoding="utf-8").strip() for file in files}
