"""Bearer tokens of the HTTP API: how they are signed, and what they must say."""

import time

import jwt

from shared.domain.roles import Role

ALGORITHM = "EdDSA"
AUDIENCE = "gongji"


def sign_token(
    private_key: bytes,
    role: Role,
    *,
    person_id: str | None = None,
    institution_id: str | None = None,
    life_s: int,
) -> str:
    """A token for a bearer in a role; a member's names the person they are, an institution's the institution.

    `private_key` is a PEM.
    """
    now = int(time.time())
    institution = institution_id if role is Role.INSTITUTION else None
    claims = {
        "sub": person_id or institution or f"local-{role}",
        "role": role,
        "person_id": person_id,
        "institution_id": institution_id,
        "aud": AUDIENCE,
        "iss": "gongji-local",
        "iat": now,
        "exp": now + life_s,
    }
    return jwt.encode({name: claim for name, claim in claims.items() if claim is not None}, private_key, ALGORITHM)
