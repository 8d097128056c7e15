"""Bodies full of personal-looking values, and whether they leak. Contract: invariant 6."""

import json
from typing import Any

from shared.messages.catalogue import Malformed
from tests.support.builders import settle_body

# What must never be told: an ID number, a name in Chinese, in Latin letters and in JSON's escapes.
ID_NUMBER = "130102199003071234"
SECRETS = (ID_NUMBER, "张三", "zhangsan", "Zhang", r"\u5f20")


def personal(**fields: Any) -> dict[str, Any]:
    """A settle that is full of personal-looking values."""
    return settle_body(**{"person_id": ID_NUMBER, "bill_ref": "张三 Zhang", **fields})


def text(**fields: Any) -> bytes:
    return json.dumps(personal(**fields), ensure_ascii=False).encode()


def raw(**fields: str) -> bytes:
    """The personal settle with some fields written just as given, as json.dumps would not."""
    kept = {name: json.dumps(value, ensure_ascii=False) for name, value in personal().items()}
    return ("{" + ",".join(f'"{name}":{value}' for name, value in {**kept, **fields}.items()) + "}").encode()


def without(*names: str) -> bytes:
    return json.dumps({name: value for name, value in personal().items() if name not in names}).encode()


def with_member(member: str | bytes) -> bytes:
    """The personal settle with one more member in front."""
    return b"{" + (member.encode() if isinstance(member, str) else member) + b"," + text()[1:]


def tells_nothing(found: Any) -> bool:
    """Whether it is a Malformed whose problems are given and hold nothing personal."""
    assert isinstance(found, Malformed), found
    return bool(found.problems) and not told_in(found.problems)


def told_in(text: str) -> list[str]:
    """What a text tells that it must not: as it is, and as bytes are written where they are no text."""
    written = {secret: (secret, repr(secret.encode())[2:-1]) for secret in SECRETS}
    return [secret for secret, forms in written.items() if any(form in text for form in forms)]
