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
        OnThisServerAlone(),
        ConnectionResetError(),
        TimeoutError(),
        EOFError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_that_breaks_is_no_requests_fault(error: Exception) -> None:
    """The database is away; nothing is dead-lettered, and whoever calls is told to come again."""
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
