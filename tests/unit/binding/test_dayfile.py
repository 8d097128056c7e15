"""A day's file read piece by piece: what is a line, what is wrong, and how much is read. Contract: "reconcile"."""

import pytest

from services.binding.dayfile import DayFile, Limits
from services.binding.days import DayLine

HEADER = b"request_id,account_fen,mutual_aid_fen"
TWO = [DayLine(2, "B-1", 1_000, 700), DayLine(3, "B-2", 50, 0)]


def read(*pieces: bytes, limits: Limits | None = None) -> tuple[list[DayLine], DayFile]:
    file = DayFile(limits or Limits())
    lines = [line for piece in pieces for line in file.read(piece)]
    return lines + file.end(), file


@pytest.mark.parametrize(
    "body",
    [
        HEADER + b"\nB-1,1000,700\nB-2,50,0\n",
        HEADER + b"\r\nB-1,1000,700\r\nB-2,50,0\r\n",
        HEADER + b"\nB-1,1000,700\nB-2,50,0",
        b"\xef\xbb\xbf" + HEADER + b"\nB-1,1000,700\nB-2,50,0\n\n\r\n",
        b'"request_id","account_fen","mutual_aid_fen"\n"B-1","1000","700"\n"B-2",50,0\n',
    ],
    ids=["LF", "CRLF", "without a last line break", "BOM and blank lines", "quoted"],
)
@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_file_is_its_lines_however_it_is_cut(body: bytes, size: int) -> None:
    """As spreadsheets and programs write it, and wherever the network cuts it."""
    lines, file = read(*(body[start : start + size] for start in range(0, len(body), size)))

    assert (lines, file.faults, file.lines_read) == (TWO, [], 2)


def test_a_day_without_settlements_is_a_header() -> None:
    """It has no line, and nothing is wrong with it."""
    lines, file = read(HEADER + b"\n")

    assert (lines, file.faults) == ([], [])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"B-1,1000", "must be request_id,account_fen,mutual_aid_fen in UTF-8 and no more"),
        (b"B-1,1000,700,1", "must be request_id,account_fen,mutual_aid_fen in UTF-8 and no more"),
        (b'"B-1,1000,700', "must be request_id,account_fen,mutual_aid_fen in UTF-8 and no more"),
        ("张三,1000,700".encode("gbk"), "must be request_id,account_fen,mutual_aid_fen in UTF-8 and no more"),
        ("张三,1000,700".encode(), "request_id must be 1 to 64 of A-Z a-z 0-9 . _ : -"),
        (b",1000,700", "request_id must be 1 to 64 of A-Z a-z 0-9 . _ : -"),
        (b"B-1,10.00,700", "account_fen must be whole fen, 0 to 10^11"),
        (b"B-1,-1,700", "account_fen must be whole fen, 0 to 10^11"),
        ("B-1,１２,0".encode(), "account_fen must be whole fen, 0 to 10^11"),
        (b"B-1,1000,100000000001", "mutual_aid_fen must be whole fen, 0 to 10^11"),
        (b"B-1,1000, 700", "mutual_aid_fen must be whole fen, 0 to 10^11"),
        (b"B" * 300, "must be at most 200 bytes"),
    ],
)
def test_a_wrong_line_is_named_by_its_number_and_never_repeated(line: bytes, problem: str) -> None:
    """What stood there may be personal. The lines around it are lines all the same."""
    lines, file = read(HEADER + b"\nB-1,1000,700\n" + line + b"\nB-2,50,0\n")

    assert file.faults == [("line 3", problem)]
    assert [each.line for each in lines] == [2, 4]


@pytest.mark.parametrize("body", [b"", b"\n", b"request_id,account_fen\n", b"B-1,1000,700\n", b"{}", b"x" * 100_000])
def test_without_its_header_nothing_is_read(body: bytes) -> None:
    """Other columns, in another order, would be other figures."""
    lines, file = read(body, b"B-1,1000,700\n")

    assert lines == []
    assert file.faults == [("line 1", "must be request_id,account_fen,mutual_aid_fen")]


def test_the_first_faults_are_named_and_the_others_counted_as_lines() -> None:
    """The file is read on, so that whoever sends it is answered."""
    _, file = read(HEADER + b"\n" + b"?,1,1\n" * 100, limits=Limits(faults_max=3))

    assert [place for place, _ in file.faults] == ["line 2", "line 3", "line 4"]
    assert (file.lines_read, file.hopeless) == (100, False)


@pytest.mark.parametrize(
    ("limits", "fault"),
    [
        (Limits(lines_max=1), ("line 3", "is one too many: at most 1 are compared")),
        (Limits(bytes_max=60), ("body", "must be at most 60 bytes")),
    ],
    ids=["lines", "bytes"],
)
def test_more_than_the_limit_is_hopeless(limits: Limits, fault: tuple[str, str]) -> None:
    """Nothing more needs to be sent, and what is wrong with the whole file is said first."""
    _, file = read(HEADER + b"\n?,1,1\n", b"B-2,50,0\n" * 2, limits=limits)

    assert file.hopeless
    assert file.faults[0] == fault


def test_a_body_that_is_no_file_at_all_has_one_fault() -> None:
    """It is too long before its first line ends."""
    _, file = read(b"\x00" * 100, limits=Limits(bytes_max=60))

    assert file.faults == [("body", "must be at most 60 bytes")]


def test_a_line_without_an_end_is_not_kept() -> None:
    """However long it is, a little of it is enough to know that it is too long."""
    file = DayFile()
    file.read(HEADER + b"\n")

    for _ in range(1_000):
        file.read(b"x" * 1_000)

    assert len(file._rest) < 1_300  # noqa: SLF001 what is held is what the test is about
    assert file.end() == []
    assert file.faults == [("line 2", "must be at most 200 bytes")]
