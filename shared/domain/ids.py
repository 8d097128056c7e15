"""Identifiers: opaque strings that carry no personal data."""

import re
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

PERSON_ID_PATTERN = r"^[A-Za-z0-9_-]{1,30}$"
INSTITUTION_ID_PATTERN = r"^[A-Za-z0-9_-]{1,30}$"
REQUEST_ID_PATTERN = r"^[A-Za-z0-9._:-]{1,64}$"
PUBLIC_ID = re.compile(r"([0-9]{2})-([0-9a-f]{32})")


class PersonKey(NamedTuple):
    """A person within the province that insures them. Accounts are locked in the order of these keys."""

    province: int
    person_id: str


def time_ordered_uuid(moment: datetime, *name: str) -> UUID:
    """A UUID of version 7's layout whose tail is a digest of `name` instead of chance.

    The same name at the same moment gives the same id, so that whatever is derived from it is reproducible; the
    48 bits of milliseconds in front keep new rows together in an index.
    """
    digest = int.from_bytes(blake2b("\x1f".join(name).encode(), digest_size=10).digest())
    milliseconds = int(moment.timestamp() * 1000)
    bits = (milliseconds & (2**48 - 1)) << 80 | digest
    bits = bits & ~(0xF << 76) | 0x7 << 76
    return UUID(int=bits & ~(0x3 << 62) | 0x2 << 62)


def earliest_id(moment: datetime) -> UUID:
    """What no time-ordered id of this millisecond or a later one is smaller than: the floor of a range in an index."""
    return UUID(int=(int(moment.timestamp() * 1000) & (2**48 - 1)) << 80)


def public_id(province: int, row_id: UUID) -> str:
    """An id for the outside: the province in front says which cell to ask. 13 and a UUID -> "13-0199...".

    Settlements, bindings and kinship links are named this way.
    """
    return f"{province:02d}-{row_id.hex}"


def parse_public_id(text: str) -> tuple[int, UUID] | None:
    """The province and the UUID of a public id, or None if it is not one."""
    match = PUBLIC_ID.fullmatch(text)
    return (int(match[1]), UUID(hex=match[2])) if match else None
