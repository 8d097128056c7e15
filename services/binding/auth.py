"""Bearer tokens: who calls, and as what."""

import re
from dataclasses import dataclass
from typing import Any

import jwt

from services.binding.keys import Keyring
from services.binding.model import Caller
from shared.domain.ids import INSTITUTION_ID_PATTERN, PERSON_ID_PATTERN
from shared.domain.roles import Role

CLAIMS = ("sub", "role", "exp", "iat", "aud")
# It is written down with every act, so it is what providers call a subject: visible ASCII, at most 255 (OpenID Connect, 2).
SUBJECT = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Checks tokens. A key brings its own algorithm; the token does not get to choose."""

    keys: Keyring
    audience: str
    leeway_s: int
    issuer: str | None = None

    async def caller(self, authorization: str | None) -> Caller | None:
        """The caller of an `Authorization` header, or None where it proves nobody."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        try:
            header = jwt.get_unverified_header(token.strip())
            key = await self.keys.find(header.get("kid"))
            if key is None:
                return None
            claims = jwt.decode(
                token.strip(),
                key.public,
                algorithms=[key.algorithm],
                audience=self.audience,
                issuer=self.issuer,
                leeway=self.leeway_s,
                options={"require": [*CLAIMS, *(["iss"] if self.issuer else [])]},
            )
            return _caller(claims)
        except (jwt.PyJWTError, ValueError):
            return None


def _caller(claims: dict[str, Any]) -> Caller | None:
    """Whom checked claims speak of. Raises ValueError for an unknown role."""
    subject, role = claims["sub"], Role(claims["role"])
    person_id = _named(claims.get("person_id"), PERSON_ID_PATTERN)
    institution_id = _named(claims.get("institution_id"), INSTITUTION_ID_PATTERN)
    if not SUBJECT.fullmatch(subject):
        return None
    if role is Role.MEMBER and person_id is None:
        return None
    if role is Role.INSTITUTION and institution_id is None:
        return None
    return Caller(f"{role}:{subject}", role, person_id, institution_id)


def _named(claim: object, pattern: str) -> str | None:
    return claim if isinstance(claim, str) and re.fullmatch(pattern, claim) else None
