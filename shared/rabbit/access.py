"""What an institution's user may do at the broker: publish its own kinds of request, read its own answers, no more. Pure.

RabbitMQ asks for a regular expression each for what a user may configure, write to and read from, and for the routing keys of a topic
exchange. Nothing may be declared or deleted: the queues are made for the institution.
"""

import re
from dataclasses import dataclass
from typing import Any

from shared.domain.enrolment import InstitutionKind
from shared.domain.ids import INSTITUTION_ID_PATTERN
from shared.messages.catalogue import CATALOGUE
from shared.rabbit.topology import REQUESTS, RESULTS

NOTHING = "^$"
# A dot would let the queues of "clinic.north" begin as those of "clinic" do.
USER_PATTERN = r"^[A-Za-z0-9_-]{1,100}$"
# A till has a connection and an institution some tills; whoever forgets to close one is told, and holds up nobody else.
CONNECTIONS_MAX = 100
CHANNELS_MAX = 200
# What nobody fetches must not fill the broker's disk for everybody: what a reply queue has no room for goes to the results, and
# what they have none for is kept until they have.
QUEUE_BYTES_MAX = 256 * 1024 * 1024
QUEUE_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-max-length-bytes": QUEUE_BYTES_MAX,
    "x-overflow": "reject-publish",
}


def is_user(name: str) -> bool:
    return re.fullmatch(USER_PATTERN, name) is not None


def results_queue(user: str) -> str:
    """Where a user finds the answers to requests without `reply_to`. Raises ValueError for what cannot be a user's name."""
    if not is_user(user):
        raise ValueError(f"{user!r} is no user's name: 1 to 100 of A-Z a-z 0-9 _ -")
    return f"results.{user}"


@dataclass(frozen=True, slots=True)
class Access:
    """The rights of one user of the broker, who sends for one institution."""

    user: str
    institution_id: str
    kind: InstitutionKind

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be a name: a `#` for an institution would be everybody's results."""
        results_queue(self.user)
        if not re.fullmatch(INSTITUTION_ID_PATTERN, self.institution_id):
            raise ValueError(f"{self.institution_id!r} is no institution's id: 1 to 30 of A-Z a-z 0-9 _ -")

    @property
    def reply_queue(self) -> str:
        """For answers that are to outlive a connection; direct reply-to needs no queue."""
        return f"reply.{self.user}.answers"

    @property
    def results_queue(self) -> str:
        return results_queue(self.user)

    @property
    def results_key(self) -> str:
        return f"*.*.{self.institution_id}"

    @property
    def permissions(self) -> dict[str, str]:
        """As RabbitMQ's management API takes them."""
        user = re.escape(self.user)
        return {
            "configure": NOTHING,
            "write": f"^{re.escape(REQUESTS)}$",
            "read": rf"^(reply\.{user}\.[^.]+|results\.{user})$",
        }

    @property
    def topic_permissions(self) -> tuple[dict[str, str], ...]:
        """Which routing keys; an exchange that none is defined for would be open."""
        operations = "|".join(sorted(operation for operation, wire in CATALOGUE.items() if self.kind in wire.senders))
        return (
            {"exchange": REQUESTS, "write": rf"^({operations})\.[0-9]{{6}}$", "read": NOTHING},
            {"exchange": RESULTS, "write": NOTHING, "read": NOTHING},
        )
