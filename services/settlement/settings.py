"""What the settlement worker is told."""

from enum import StrEnum

from pydantic import Field

from shared.runtime.lifecycle import AmqpUrls, DatabaseUrl, ServiceSettings

# PLACE:ACTION or PLACE:ACTION:N; services/settlement/failpoints.py has the places.
FAILPOINT = r"^(before_begin|after_debit|after_commit|after_confirm):(kill|stop)(:[1-9]\d{0,5})?$"


class Consumes(StrEnum):
    """Which queues a worker takes requests from."""

    ALL = "all"
    SETTLEMENT = "settlement"
    BULK = "bulk"
    INQUIRY = "inquiry"


class SettlementSettings(ServiceSettings):
    """GONGJI_… variables of a worker; docs/operations.md says what each is for."""

    database_url: DatabaseUrl
    database_role: str | None = "gongji_settlement"
    amqp_url: AmqpUrls
    # Off only where nobody but you reaches the broker.
    authenticate_senders: bool = True
    # A process for each keeps a backlog of one from slowing another down: docs/adr/0011, docs/adr/0013.
    consumes: Consumes = Consumes.ALL
    # Of fewer, what each batch costs by itself shows; of more, locks are held longer and nothing more is settled: docs/performance.md.
    batch_max: int = Field(default=200, ge=1, le=5_000)
    # How many batches of a queue are under way at once: while one waits for the database, another is decided. With one alone a
    # worker decides in the order of arrival, and its processor is idle for a third of the time: docs/adr/0020.
    lanes: int = Field(default=2, ge=1, le=16)
    # Of each lane, two batches: one in the database, one being answered or arriving.
    prefetch: int = Field(default=400, ge=1, le=20_000)
    # How soon after its deadline a transfer returns.
    chores_every_s: float = Field(default=5.0, gt=0, le=3_600)
    # How often some decisions of the last day are decided again.
    recheck_every_s: float = Field(default=60.0, gt=0, le=86_400)
    # For tests of faults alone.
    failpoint: str | None = Field(default=None, pattern=FAILPOINT)
