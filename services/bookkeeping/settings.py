"""What the bookkeeper is told."""

from pydantic import Field

from shared.runtime.lifecycle import AmqpUrls, DatabaseUrl, ServiceSettings


class BookkeepingSettings(ServiceSettings):
    """GONGJI_… variables of the bookkeeper; docs/operations.md says what each is for."""

    database_url: DatabaseUrl
    database_role: str | None = "gongji_bookkeeping"
    amqp_url: AmqpUrls
    # How soon after a movement its seal and its event follow.
    seal_every_s: float = Field(default=1.0, gt=0, le=3_600)
    # How long after midnight a day is closed: no worker's clock may be slower than that.
    close_after_s: float = Field(default=300.0, ge=1, le=86_400)
    months_ahead: int = Field(default=3, ge=1, le=24)
