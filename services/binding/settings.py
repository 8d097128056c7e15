"""What the binding service is told."""

from pydantic import Field, FilePath

from shared.runtime.lifecycle import DatabaseUrl, ServiceSettings
from shared.runtime.tokens import AUDIENCE


class BindingSettings(ServiceSettings):
    """GONGJI_… variables of the binding service; docs/operations.md says what each is for."""

    database_url: DatabaseUrl
    database_role: str | None = "gongji_binding"
    database_connections_max: int = Field(default=10, ge=1, le=200)
    jwt_public_key_file: FilePath
    jwt_audience: str = AUDIENCE
    jwt_leeway_s: int = Field(default=10, ge=0, le=300)
    key_ring_file: FilePath
