"""The key ring's file: what is wrong with it is named, what is in it is not; a running service sees a new one."""

import stat
from datetime import date
from itertools import count
from pathlib import Path

import pytest

from services.binding.keyring import KeyRing, RingFile, RingKey
from services.binding.suites import BadKey

DAY = date(2026, 11, 28)
GOOD = RingKey.made(1, "aes-256-gcm", DAY)
SM4 = RingKey.made(7, "sm4-gcm", DAY)
RING = KeyRing.of({7: SM4, 1: GOOD})


@pytest.fixture
def file(tmp_path: Path) -> RingFile:
    written = RingFile(tmp_path / "key_ring")
    written.write(KeyRing.of({1: GOOD}))
    return written


def test_what_is_written_is_read() -> None:
    """Every key, in the order of ids, whatever else people write into it."""
    read = KeyRing.parse("# ours\n\n" + RING.text)

    assert read.lines == RING.lines
    assert list(read.lines) == [1, 7]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is no key in it"),
        ("1 aes-256-gcm 2026-11-28 short", "line 1: a key has 5 words, not 4"),
        (GOOD.line + "\n" + GOOD.line, "line 3: key 1 is there twice"),
        (GOOD.line.replace("1 ", "0 ", 1), "line 1: the id must be a number from 1 to 65535"),
        (GOOD.line.replace("1 ", "65536 ", 1), "line 1: the id must be a number from 1 to 65535"),
        (GOOD.line.replace("1 ", "one ", 1), "line 1: the id must be a number from 1 to 65535"),
        (GOOD.line.replace("aes-256-gcm", "rot13"), "line 1: the suite must be one of aes-256-gcm-1, aes-256-gcm"),
        (SM4.line.replace("sm4-gcm", "aes-256-gcm-1"), "line 1: only key 1 can be of aes-256-gcm-1"),
        (GOOD.line.replace("2026-11-28", "yesterday"), "line 1: the third word must be a date"),
        (GOOD.line.replace("aes-256-gcm", "sm4-gcm"), "key 1 holds 32 bytes where a key has 16"),
        (GOOD.line.replace(GOOD.index, "c2hvcnQ="), "key 1 holds 5 bytes where a key has 32"),
        ("1 aes-256-gcm 2026-11-28 密钥 密钥", "it is not a key ring"),
    ],
    # The keys are drawn anew in each process; the tests' names must not be.
    ids=count(),
)
def test_what_is_wrong_is_named_and_never_shown(tmp_path: Path, text: str, why: str) -> None:
    """The file and the line; neither the message nor its cause has a key in it."""
    (tmp_path / "key_ring").write_text(text, encoding="utf-8")

    with pytest.raises(BadKey, match=f"^key_ring: {why}") as refused:
        RingFile(tmp_path / "key_ring").current()

    told = repr((refused.value, refused.value.__cause__))
    assert not [secret for secret in (GOOD.sealing, GOOD.index, "密钥") if secret in told]


def test_a_ring_does_not_show_its_keys() -> None:
    """Where somebody prints it."""
    assert not [secret for secret in (GOOD.sealing, GOOD.index, SM4.sealing) if secret in repr((RING, GOOD))]


def test_a_new_ring_is_seen_without_a_restart(file: RingFile) -> None:
    """And an unchanged one is not read again."""
    before = file.current()
    same = file.current()

    file.write(RING)

    assert same is before
    assert list(before.lines) == [1]
    assert list(file.current().lines) == [1, 7]


def test_a_ring_that_became_unreadable_is_not_used(file: RingFile) -> None:
    """The service goes on with the one before; one that starts with it does not."""
    before = file.current()
    file.file.write_text("half a ri")

    kept = file.current()
    file.file.unlink()
    still = file.current()

    assert kept is still is before
    with pytest.raises(FileNotFoundError):
        RingFile(file.file).current()


def test_a_ring_is_for_its_owner_and_keeps_the_permissions_it_was_given(file: RingFile) -> None:
    """Containers read it as users of their own."""
    made = stat.S_IMODE(file.file.stat().st_mode)
    file.file.chmod(0o444)

    file.write(RING)

    assert made == 0o600
    assert stat.S_IMODE(file.file.stat().st_mode) == 0o444
    assert [each.name for each in file.file.parent.iterdir()] == ["key_ring"]


def test_a_new_installation_gets_a_key_of_its_own(tmp_path: Path) -> None:
    """Where there are no files of the first release."""
    rings = [KeyRing.first(tmp_path / "none", tmp_path / "neither", made_on=DAY) for _ in range(2)]

    assert [list(ring.lines) for ring in rings] == [[1], [1]]
    assert rings[0].lines[1].suite == "aes-256-gcm"
    assert rings[0].lines[1].sealing != rings[1].lines[1].sealing
