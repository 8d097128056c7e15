"""What an error of PostgreSQL means for the work in hand."""

import re
from enum import Enum

import asyncpg


class Trouble(Enum):
    """What to do about it."""

    AGAIN = "the same transaction again: somebody else was faster, or a table was altered"
    BUSY = "something is held for too long: leave this one for later"
    SLOW = "it takes longer than a statement may: fewer at once, and a single one later"
    AWAY = "the server cannot be used now: wait until it can"
    POISON = "these very values make it fail"


# The connection, the socket below it, or the client's own protocol, which is at a loss where the connection broke under it.
_BROKEN = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError, EOFError)
# What is raised where a server cannot be used, or refuses what is asked.
UNUSABLE = (asyncpg.PostgresError, *_BROKEN)

# Another worker has decided or cancelled the same request in the meantime, or given back of the same settlement. Copies
# decided in the same millisecond have the same id too, whose key is called after its month.
DECIDED_ELSEWHERE = re.compile(
    r"one_decision_per_request|one_cancellation_per_request|remainders_pkey|(decisions|entries)_\w+_pkey"
)
# Somebody has altered a table or a type; what the client had prepared of it is forgotten with the error.
_ALTERED = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
_AGAIN = frozenset({"40001", "40P01"})
_BUSY = frozenset({"55P03"})
_SLOW = frozenset({"57014"})
# Data exceptions, and constraints that say no: values that can be told from what was sent.
_POISON_CLASSES = frozenset({"22", "23"})


def trouble_of(error: BaseException) -> Trouble:
    """How to take an error raised by asyncpg, by the socket below it, or by our own code.

    A right that is missing, a schema of another release, a disk that is full, damage: whatever else PostgreSQL says is
    said of every request alike, so none is refused for it.
    """
    if isinstance(error, asyncpg.UniqueViolationError) and DECIDED_ELSEWHERE.fullmatch(error.constraint_name or ""):
        return Trouble.AGAIN
    if isinstance(error, _ALTERED):
        return Trouble.AGAIN
    if isinstance(error, asyncpg.PostgresError):
        return _of_state(error.sqlstate or "")
    return Trouble.AWAY if isinstance(error, _BROKEN) else Trouble.POISON


def _of_state(state: str) -> Trouble:
    if state in _AGAIN:
        return Trouble.AGAIN
    if state in _BUSY:
        return Trouble.BUSY
    if state in _SLOW:
        return Trouble.SLOW
    return Trouble.POISON if state[:2] in _POISON_CLASSES else Trouble.AWAY
