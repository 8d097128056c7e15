"""What the supervisor records about the stack, in `state.json`."""

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.devstack.failure import StackFailed
from deploy.devstack.identity import ProcessRecord
from deploy.devstack.keys import KeyFiles, write_private


class Phase(StrEnum):
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Credentials(BaseModel):
    """Made once for a state directory, because the servers' data holds them too."""

    model_config = ConfigDict(frozen=True)

    postgres_password: str
    rabbitmq_password: str


class Urls(BaseModel):
    """Where everything answers; the services by their names."""

    model_config = ConfigDict(frozen=True)

    database: str
    amqp: str
    rabbitmq_management: str | None = None
    services: dict[str, str] = {}


class StackState(BaseModel):
    model_config = ConfigDict(frozen=True)

    phase: Phase
    supervisor: ProcessRecord
    started_with: tuple[str, ...] = ()
    ports: dict[str, int]
    credentials: Credentials
    urls: Urls
    keys_directory: Path
    processes: tuple[ProcessRecord, ...] = ()
    failure: str | None = None

    def environment(self) -> dict[str, str]:
        """The variables under which clients of the stack find it."""
        keys = KeyFiles(self.keys_directory)
        services = self.urls.services
        settlement = [url for name, url in services.items() if name.startswith(("settlement-", "bulk", "inquiry"))]
        optional = {
            "GONGJI_RABBITMQ_MANAGEMENT_URL": self.urls.rabbitmq_management,
            "GONGJI_BINDING_URL": services.get("binding"),
            "GONGJI_SETTLEMENT_URLS": ",".join(settlement),
        }
        return {
            "GONGJI_DATABASE_URL": self.urls.database,
            "GONGJI_AMQP_URL": self.urls.amqp,
            **{name: value for name, value in optional.items() if value},
            "GONGJI_JWT_PRIVATE_KEY_FILE": str(keys.jwt_private),
            **keys.environment(),
        }


def state_file(directory: Path) -> Path:
    return directory / "state.json"


def log_file(directory: Path, name: str) -> Path:
    return directory / "logs" / f"{name}.log"


def load(directory: Path) -> StackState | None:
    """The last recorded state, whether or not its supervisor still runs."""
    path = state_file(directory)
    try:
        return StackState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        message = f"{path} cannot be read ({error}); remove {directory} to start afresh"
        raise StackFailed(message) from error


def read(directory: Path) -> StackState | None:
    """The state of the stack that runs in this directory, or None when none does."""
    state = load(directory)
    return state if state and state.supervisor.process() else None


def save(directory: Path, state: StackState) -> None:
    write_private(state_file(directory), state.model_dump_json(indent=2).encode())
