"""Bearer tokens: who calls, and as what."""

from dataclasses import dataclass

import jwt

from services.binding.model import Caller
from shared.domain.roles import Role
from shared.runtime.tokens import ALGORITHM

CLAIMS = ("sub", "role", "exp", "iat", "aud")


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Checks tokens against one public key. The algorithm is pinned; the token does not get to choose."""

    public_key: bytes
    audience: str
    leeway_s: int

    def caller(self, authorization: str | None) -> Caller | None:
        """The caller of an `Authorization` header, or None where it proves nobody."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        try:
            claims = jwt.decode(
                token.strip(),
                self.public_key,
                algorithms=[ALGORITHM],
                audience=self.audience,
                leeway=self.leeway_s,
                options={"require": list(CLAIMS)},
            )
            role = Role(claims["role"])
        except (jwt.InvalidTokenError, ValueError):
            return None
        person_id, institution_id = claims.get("person_id"), claims.get("institution_id")
        if role is Role.MEMBER and not isinstance(person_id, str):
            return None
        if role is Role.INSTITUTION and not isinstance(institution_id, str):
            return None
        return Caller(f"{role}:{claims['sub']}", role, person_id, institution_id)
