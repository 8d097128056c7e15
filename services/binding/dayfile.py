"""An institution's day as a file, read piece by piece as it comes. Pure.

What is kept is an unfinished line and the first few faults, however long the file is.
"""

import csv
import re
from dataclasses import dataclass, field

from services.binding.days import DayLine
from services.binding.model import Fault
from shared.domain.ids import REQUEST_ID_PATTERN
from shared.domain.money import AMOUNT_MAX_FEN

HEADER = ["request_id", "account_fen", "mutual_aid_fen"]
REQUEST_ID = re.compile(REQUEST_ID_PATTERN)
FEN = re.compile(r"[0-9]{1,12}")
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a file is read; a line without its line break. How many differences an institution's files leave in a day."""

    lines_max: int = 1_000_000
    bytes_max: int = 100 * 1024 * 1024
    line_bytes_max: int = 200
    faults_max: int = 20
    differences_max: int = 200_000


@dataclass(slots=True)
class DayFile:
    """Takes a file's pieces and gives its lines. What is wrong with the file is in `faults`, the first ones only."""

    limits: Limits = field(default_factory=Limits)
    faults: list[Fault] = field(default_factory=list)
    hopeless: bool = False
    lines_read: int = 0
    _bytes: int = 0
    _number: int = 0
    _rest: bytes = b""

    def read(self, piece: bytes) -> list[DayLine]:
        """The lines that this piece completes. There is no need for more pieces once the file is `hopeless`."""
        self._bytes += len(piece)
        if self._bytes > self.limits.bytes_max:
            self._give_up("body", f"must be at most {self.limits.bytes_max} bytes")
            return []
        *whole, rest = (self._rest + piece).split(b"\n")
        # One byte more than a line may have shows that it is too long; the others are not kept.
        self._rest = rest[: self.limits.line_bytes_max + 2]
        return self._lines(whole)

    def end(self) -> list[DayLine]:
        """The last line, where nothing breaks it."""
        lines = self._lines([self._rest] if self._rest else [])
        if self._number == 0 and not self.hopeless:
            self._give_up("line 1", f"must be {','.join(HEADER)}")
        return lines

    def _lines(self, whole: list[bytes]) -> list[DayLine]:
        found = []
        for text in whole:
            if self.hopeless:
                break
            self._number += 1
            line = self._line(text.removesuffix(b"\r"))
            if line is not None:
                found.append(line)
        return found

    def _line(self, text: bytes) -> DayLine | None:
        if self._number == 1:
            if _fields(text.removeprefix(BOM)) != HEADER:
                self._give_up("line 1", f"must be {','.join(HEADER)}")
            return None
        if not text:
            return None
        if self.lines_read == self.limits.lines_max:
            self._give_up(f"line {self._number}", f"is one too many: at most {self.limits.lines_max} are compared")
            return None
        self.lines_read += 1
        line = _parsed(self._number, text, self.limits.line_bytes_max)
        if isinstance(line, DayLine):
            return line
        if len(self.faults) < self.limits.faults_max:
            self.faults.append(line)
        return None

    def _give_up(self, place: str, problem: str) -> None:
        """What is wrong with the file as a whole comes before what is wrong with its lines."""
        self.faults = [Fault(place, problem), *self.faults][: self.limits.faults_max]
        self.hopeless = True


def _parsed(number: int, text: bytes, bytes_max: int) -> DayLine | Fault:
    place = f"line {number}"
    if len(text) > bytes_max:
        return Fault(place, f"must be at most {bytes_max} bytes")
    fields = _fields(text)
    if fields is None or len(fields) != len(HEADER):
        return Fault(place, f"must be {','.join(HEADER)} in UTF-8 and no more")
    request_id, account_fen, mutual_aid_fen = fields
    if not REQUEST_ID.fullmatch(request_id):
        return Fault(place, "request_id must be 1 to 64 of A-Z a-z 0-9 . _ : -")
    if not _is_amount(account_fen):
        return Fault(place, "account_fen must be whole fen, 0 to 10^11")
    if not _is_amount(mutual_aid_fen):
        return Fault(place, "mutual_aid_fen must be whole fen, 0 to 10^11")
    return DayLine(number, request_id, int(account_fen), int(mutual_aid_fen))


def _fields(text: bytes) -> list[str] | None:
    """The fields of one line; None where it is not UTF-8 or a quote is left open."""
    try:
        return next(csv.reader([text.decode()], strict=True), [])
    except (UnicodeDecodeError, csv.Error):
        return None


def _is_amount(text: str) -> bool:
    return FEN.fullmatch(text) is not None and int(text) <= AMOUNT_MAX_FEN
