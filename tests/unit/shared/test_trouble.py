"""What an error of the database means for the work in hand."""

import asyncpg
import pytest

from shared.postgres.connection import OnThisServerAlone
from shared.postgres.trouble import UNUSABLE, Trouble, trouble_of


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("got result for unknown protocol state"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.TargetServerAttributeNotMatched("a standby alone was found"),
        asyncpg.DiskFullError("could not extend file"),
        asyncpg.InsufficientPrivilegeError("permission denied for table entries"),
        asyncpg.UndefinedTableError("relation does not exist"),
        asyncpg.UndefinedColumnError("column does not exist"),
        asyncpg.DataCorruptedError("invalid page in block 7"),
        asyncpg.InternalServerError("cache lookup failed"),
        asyncpg.FeatureNotSupportedError("it is not there"),
        OnThisServerAlone(),
        ConnectionResetError(),
        TimeoutError(),
        EOFError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_said_of_every_request_is_no_requests_fault(error: Exception) -> None:
    """A connection that breaks, a right, a table: the database is away; nothing is dead-lettered, and whoever calls is told to come again."""
    assert trouble_of(error) is Trouble.AWAY
    assert isinstance(error, UNUSABLE)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CheckViolationError("no_sevens"),
        asyncpg.DataError("invalid input for query argument $1"),
        KeyError("fen"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_values_that_cannot_be_kept_are(error: Exception) -> None:
    """Whether PostgreSQL, its client or our own code fails on them: the request is found alone."""
    assert trouble_of(error) is Trouble.POISON


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DeadlockDetectedError("deadlock detected"),
        asyncpg.SerializationError("could not serialize access"),
        asyncpg.InvalidCachedStatementError("cached plan must not change result type"),
        asyncpg.OutdatedSchemaCacheError("unexpected number of attributes"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_another_try_mends_is_tried_again(error: Exception) -> None:
    """Somebody was in the way, or has altered a table that the client had prepared statements of."""
    assert trouble_of(error) is Trouble.AGAIN


def test_a_lock_is_waited_for_later_and_a_slow_statement_asked_for_less() -> None:
    """Neither is anybody's fault."""
    assert trouble_of(asyncpg.LockNotAvailableError("canceling statement due to lock timeout")) is Trouble.BUSY
    assert trouble_of(asyncpg.QueryCanceledError("canceling statement due to statement timeout")) is Trouble.SLOW
