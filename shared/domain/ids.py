"""Identifiers: opaque strings that carry no personal data."""

import re
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from shared.domain.times import shanghai_moment

PERSON_ID_PATTERN = r"^[A-Za-z0-9_-]{1,30}$"
INSTITUTION_ID_PATTERN = r"^[A-Za-z0-9_-]{1,30}$"
REQUEST_ID_PATTERN = r"^[A-Za-z0-9._:-]{1,64}$"
PUBLIC_ID_PATTERN = r"^([0-9]{2})-([0-9a-f]{32})$"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# Where a UUID says its version and variant, and what it says there.
VERSION_7 = 0x7 << 76 | 0x2 << 62
NEITHER = ~(0xF << 76 | 0x3 << 62)


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
    milliseconds = int(moment.timestamp() * 1000) & (2**48 - 1)
    return UUID(int=(milliseconds << 80 | digest) & NEITHER | VERSION_7)


# No id is smaller, none is greater: where a list begins, from either end.
LEAST_ID, GREATEST_ID = UUID(int=0), UUID(int=2**128 - 1)


def earliest_id(moment: datetime) -> UUID:
    """No time-ordered UUID of this moment or a later one is smaller. What was before 1970 counts as 1970."""
    return UUID(int=max(0, (moment - EPOCH) // timedelta(milliseconds=1)) << 80)


def latest_id(moment: datetime) -> UUID:
    """No time-ordered UUID of this moment or an earlier one is greater."""
    return UUID(int=earliest_id(moment).int | 2**80 - 1)


def ids_of_day(day: date) -> tuple[UUID, UUID]:
    """A Shanghai day as a stretch of time-ordered ids: from the first one on, up to and not including the second."""
    return earliest_id(shanghai_moment(day)), earliest_id(shanghai_moment(day + timedelta(days=1)))


def moment_of(row_id: UUID) -> datetime:
    """The moment at which a time-ordered UUID was made, to the millisecond."""
    return EPOCH + timedelta(milliseconds=row_id.int >> 80)


def public_id(province: int, row_id: UUID) -> str:
    """An id for the outside: the province in front says which cell to ask. 13 and a UUID -> "13-0199...".

    Movements (a settlement's id is its movement's), bindings and kinship links are named this way.
    """
    return f"{province:02d}-{row_id.hex}"


def parse_public_id(text: str) -> tuple[int, UUID] | None:
    """The province and the UUID of a public id, or None if it is not one."""
    match = re.fullmatch(PUBLIC_ID_PATTERN, text)
    return (int(match[1]), UUID(hex=match[2])) if match else None
