"""What a peer is told, as a worker is: where the servers are. It says `ready` on stdout when it takes messages."""

from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.postgres.pool import PLAN_ONCE, session
from shared.runtime.lifecycle import AmqpUrls, DatabaseUrl

READY = "ready"
ROLE = "gongji_settlement"


class PeerSettings(BaseSettings):
    """The environment of a peer."""

    model_config = SettingsConfigDict(env_prefix="GONGJI_", extra="ignore", frozen=True)

    database_url: DatabaseUrl
    amqp_url: AmqpUrls


def session_of(peer: str) -> dict[str, str]:
    """A database session with a worker's rights and limits, which like a worker's plans each statement once."""
    return session(ROLE, f"bench-{peer}") | PLAN_ONCE


def say_ready() -> None:
    print(READY, flush=True)  # noqa: T201 whoever started it reads this
