"""What the binding service is told."""

from typing import Annotated, Self

from pydantic import BaseModel, Field, FilePath, model_validator

from shared.runtime.lifecycle import DatabaseUrl, ServiceSettings
from shared.runtime.tokens import AUDIENCE

# Whoever can change keys on their way can sign every token: in the clear only from this machine.
KeysUrl = Annotated[str, Field(pattern=r"^(https://[^\s@]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?/[^\s@]*)$")]

# Long enough to mend a provider without shutting everybody out; no longer can a key that it took back meanwhile be used.
JWKS_STALE_MAX_S = 86_400.0


class HttpLimits(BaseModel):
    """How much one caller may ask of the HTTP door; docs/operations.md says why so much."""

    http_head_bytes_max: int = Field(default=8_192, ge=1_024, le=65_536)
    http_body_bytes_max: int = Field(default=65_536, ge=1_024, le=16_777_216)
    http_body_timeout_s: float = Field(default=10.0, ge=0.1, le=600)
    calls_at_once_max: int = Field(default=500, ge=1, le=10_000)
    member_calls_per_minute: int = Field(default=600, ge=1, le=1_000_000)
    clerk_calls_per_minute: int = Field(default=3_000, ge=1, le=1_000_000)
    operator_calls_per_minute: int = Field(default=3_000, ge=1, le=1_000_000)
    institution_calls_per_minute: int = Field(default=600, ge=1, le=1_000_000)
    feed_calls_per_minute: int = Field(default=30_000, ge=1, le=1_000_000)
    address_calls_per_minute: int = Field(default=3_000, ge=1, le=1_000_000)


class BindingSettings(ServiceSettings, HttpLimits):
    """GONGJI_… variables of the binding service; docs/operations.md says what each is for."""

    database_url: DatabaseUrl
    database_role: str | None = "gongji_binding"
    database_connections_max: int = Field(default=10, ge=1, le=200)
    jwt_public_key_file: FilePath | None = None
    jwks_url: KeysUrl | None = None
    jwks_file: FilePath | None = None
    jwks_refresh_s: float = Field(default=300.0, ge=1, le=86_400)
    jwks_stale_max_s: float = Field(default=JWKS_STALE_MAX_S, ge=2, le=2_592_000)
    jwt_audience: str = AUDIENCE
    jwt_issuer: str | None = Field(default=None, min_length=1)
    jwt_leeway_s: int = Field(default=10, ge=0, le=30)
    trusted_proxies: str | None = Field(default=None, min_length=1)
    http_connections_max: int = Field(default=1_000, ge=10, le=100_000)
    http_connections_per_address_max: int = Field(default=200, ge=1, le=100_000)
    key_ring_file: FilePath

    @model_validator(mode="after")
    def _tokens_can_be_checked(self) -> Self:
        if self.jwks_url and self.jwks_file:
            raise ValueError("GONGJI_JWKS_URL and GONGJI_JWKS_FILE: give one of them")
        if not (self.jwt_public_key_file or self.jwks_url or self.jwks_file):
            raise ValueError("GONGJI_JWT_PUBLIC_KEY_FILE, GONGJI_JWKS_URL or GONGJI_JWKS_FILE: one must be given")
        if self.jwks_stale_max_s < 2 * self.jwks_refresh_s:
            raise ValueError("GONGJI_JWKS_STALE_MAX_S: must be at least twice GONGJI_JWKS_REFRESH_S")
        return self
