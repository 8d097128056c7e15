"""The key ring: a file with a line for each key that personal data may be sealed with. Which of them seals is said in the database.

A line is the key's id, its suite, the day it was made, and what the suite needs of the sealing key and of the index key.
Lines can be copied from one machine's ring to another's. Keys are made and taken out by `gongji keys`.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import structlog

from services.binding.suites import FIRST_RELEASE, OFFERED, SUITES, BadKey, Key

log = structlog.get_logger()

FIRST_KEY_ID = 1
KEY_ID_MAX = 65_535
HEADING = (
    "# The keys of names and ID numbers: id, suite, day made, sealing key, index key. Whoever has them can read both.\n"
)


@dataclass(frozen=True, slots=True)
class RingKey:
    """One line of the ring."""

    key_id: int
    suite: str
    made_on: date
    sealing: str = field(repr=False)
    index: str = field(repr=False)

    @classmethod
    def made(cls, key_id: int, suite: str, made_on: date) -> "RingKey":
        return cls(key_id, suite, made_on, *SUITES[suite].make())

    @property
    def line(self) -> str:
        return f"{self.key_id} {self.suite} {self.made_on} {self.sealing} {self.index}\n"

    def loaded(self) -> Key:
        """Raises BadKey."""
        return SUITES[self.suite].load(self.sealing, self.index)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of one reading of the file, by their ids."""

    lines: Mapping[int, RingKey]
    keys: Mapping[int, Key] = field(repr=False)

    @classmethod
    def of(cls, lines: Mapping[int, RingKey]) -> "KeyRing":
        """Raises BadKey with the id of a key that cannot be used."""
        keys = {}
        for key_id, line in lines.items():
            try:
                keys[key_id] = line.loaded()
            except BadKey as error:
                raise BadKey(f"key {key_id} {error}") from None
        return cls(dict(sorted(lines.items())), keys)

    @classmethod
    def first(cls, sealing_key_file: Path, index_key_file: Path, *, made_on: date) -> "KeyRing":
        """The ring of an installation that has none: of the two keys that the first release had, or of a new one. Raises BadKey."""
        if not (sealing_key_file.exists() and index_key_file.exists()):
            return cls.of({FIRST_KEY_ID: RingKey.made(FIRST_KEY_ID, OFFERED[0], made_on)})
        sealing, index = (file.read_text(encoding="ascii").strip() for file in (sealing_key_file, index_key_file))
        return cls.of({FIRST_KEY_ID: RingKey(FIRST_KEY_ID, FIRST_RELEASE, made_on, sealing, index)})

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """Raises BadKey with the number of the line, never with what is in it."""
        lines: dict[int, RingKey] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            read = _read(line.split(), number)
            if read.key_id in lines:
                raise BadKey(f"line {number}: key {read.key_id} is there twice")
            lines[read.key_id] = read
        if not lines:
            raise BadKey("there is no key in it")
        return cls.of(lines)

    @property
    def text(self) -> str:
        return HEADING + "".join(line.line for line in self.lines.values())

    def with_key(self, line: RingKey) -> "KeyRing":
        return KeyRing.of({**self.lines, line.key_id: line})

    def without(self, key_id: int) -> "KeyRing":
        return KeyRing.of({each: line for each, line in self.lines.items() if each != key_id})


def _read(words: list[str], number: int) -> RingKey:
    if len(words) != 5:
        raise BadKey(f"line {number}: a key has 5 words, not {len(words)}")
    key_id, suite, made_on, sealing, index = words
    if not (key_id.isascii() and key_id.isdigit() and FIRST_KEY_ID <= int(key_id) <= KEY_ID_MAX):
        raise BadKey(f"line {number}: the id must be a number from {FIRST_KEY_ID} to {KEY_ID_MAX}")
    if suite not in SUITES:
        raise BadKey(f"line {number}: the suite must be one of {', '.join(SUITES)}")
    if suite == FIRST_RELEASE and int(key_id) != FIRST_KEY_ID:
        raise BadKey(f"line {number}: only key {FIRST_KEY_ID} can be of {FIRST_RELEASE}")
    try:
        return RingKey(int(key_id), suite, date.fromisoformat(made_on), sealing, index)
    except ValueError:
        raise BadKey(f"line {number}: the third word must be a date, YYYY-MM-DD") from None


@dataclass(slots=True)
class RingFile:
    """The ring where it lies. A running service sees a new one without being started again."""

    file: Path
    _read: tuple[tuple[int, ...], KeyRing] | None = None

    def current(self) -> KeyRing:
        """The ring as it is now. One that has become unreadable is told in the log, and the one before is used on.

        Raises BadKey or OSError where none has ever been read.
        """
        try:
            stat = self.file.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if self._read is None or self._read[0] != seen:
                self._read = (seen, self.read())
        except (BadKey, OSError) as error:
            if self._read is None:
                raise
            log.error("key_ring_unreadable", file=self.file.name, error=str(error))  # noqa: TRY400 it names the line
        return self._read[1]

    def read(self) -> KeyRing:
        """Raises BadKey with the file's name, or OSError."""
        try:
            return KeyRing.parse(self.file.read_text(encoding="ascii"))
        except UnicodeDecodeError:
            raise BadKey(f"{self.file.name}: it is not a key ring") from None
        except BadKey as error:
            raise BadKey(f"{self.file.name}: {error}") from None

    def write(self, ring: KeyRing) -> None:
        """Takes the file's place whole or not at all, with the file's permissions. Raises OSError."""
        half = self.file.with_name(f".{self.file.name}")
        half.unlink(missing_ok=True)
        mode = self.file.stat().st_mode & 0o777 if self.file.exists() else 0o600
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as writing:
            writing.write(ring.text)
            writing.flush()
            os.fsync(writing.fileno())
        half.chmod(mode)
        half.replace(self.file)

    @contextmanager
    def changing(self) -> Iterator[KeyRing]:
        """The ring, for as long as nobody else changes it. Raises BadKey or OSError."""
        folder = os.open(self.file.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield self.read()
        finally:
            os.close(folder)
