"""Names and ID numbers at rest: sealed, and ID numbers found again by a keyed index.

A sealed value begins with an envelope: 2, the number of the suite, two bytes of key id. It is bound to its envelope, its
person and its field, so that it cannot be moved to another row unnoticed. What the first release sealed begins with 1, is
of key 1, and is bound to person and field only; as long as that key is the active one, values go on being written so, and
an instance of the first release can read them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from services.binding.keyring import FIRST_KEY_ID, KeyRing, RingKey
from services.binding.model import SealedIdentity
from services.binding.suites import FIRST_RELEASE, SUITES, Key, NotAuthentic

FIRST_LAYOUT = b"\x01"
LAYOUT = 2
ENVELOPE_BYTES = 4


class Unreadable(Exception):
    """A value cannot be opened, or not be sealed, with the keys that are here. `key_id` is None where it names none."""

    def __init__(self, why: str, key_id: int | None) -> None:
        super().__init__(why)
        self.key_id = key_id


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals and opens personal data with the keys of a ring, which is asked anew each time."""

    ring: Callable[[], KeyRing]

    def seal(self, name: str, id_number: str, *, person_id: str, key_id: int) -> SealedIdentity:
        """All that is kept of who somebody is, under one key. Raises Unreadable where the ring has no such key."""
        ring = self.ring()
        key = _key(ring, key_id)
        return SealedIdentity(
            name=_seal(ring.lines[key_id], key, name, person_id, "name"),
            id_number=_seal(ring.lines[key_id], key, id_number, person_id, "id_number"),
            id_number_index=key.digest(_indexed(id_number)),
        )

    def open(self, sealed: bytes, *, person_id: str, field: str) -> str:
        """Raises Unreadable where its key is not in the ring, or did not seal it for this person and field."""
        key_id = key_of(sealed)
        if key_id is None:
            raise Unreadable("it is no sealed value", None)
        ring = self.ring()
        key = _key(ring, key_id)
        envelope = _envelope(ring.lines[key_id])
        if not sealed.startswith(envelope):
            raise Unreadable(f"key {key_id} is of another suite in this ring", key_id)
        try:
            return key.open(sealed[len(envelope) :], _place(envelope, person_id, field)).decode()
        except NotAuthentic:
            raise Unreadable(f"it was not sealed so with this key {key_id}", key_id) from None

    def indexes(self, id_number: str) -> list[bytes]:
        """The index of an ID number under each key of the ring: some people may not be sealed anew yet."""
        return [key.digest(_indexed(id_number)) for key in self.ring().keys.values()]


def key_of(sealed: bytes) -> int | None:
    """The id of the key that sealed a value, or None where it is no sealed value."""
    if sealed.startswith(FIRST_LAYOUT):
        return FIRST_KEY_ID
    if len(sealed) > ENVELOPE_BYTES and sealed[0] == LAYOUT:
        return int.from_bytes(sealed[2:ENVELOPE_BYTES])
    return None


def mask_name(name: str) -> str:
    """The family name stays: 张三丰 -> 张**."""
    return name[:1] + "*" * (len(name) - 1)


def mask_id_number(id_number: str) -> str:
    """Enough to recognise one's own: 130102199003071234 -> 130***********1234."""
    if len(id_number) <= 7:
        return "*" * len(id_number)
    return id_number[:3] + "*" * (len(id_number) - 7) + id_number[-4:]


def _key(ring: KeyRing, key_id: int) -> Key:
    key = ring.keys.get(key_id)
    if key is None:
        raise Unreadable(f"key {key_id} is not in the key ring", key_id)
    return key


def _seal(line: RingKey, key: Key, text: str, person_id: str, field: str) -> bytes:
    envelope = _envelope(line)
    return envelope + key.seal(text.encode(), _place(envelope, person_id, field))


def _envelope(line: RingKey) -> bytes:
    if line.suite == FIRST_RELEASE:
        return FIRST_LAYOUT
    return bytes([LAYOUT, SUITES[line.suite].number]) + line.key_id.to_bytes(2)


def _place(envelope: bytes, person_id: str, field: str) -> bytes:
    bound = b"" if envelope == FIRST_LAYOUT else envelope
    return bound + f"{person_id}\x1f{field}".encode()


def _indexed(id_number: str) -> bytes:
    return id_number.upper().encode()
