"""The roles, and what each may not do, by trying it."""

import asyncpg
import pytest

from shared.postgres.pool import connect
from tests.conftest import Database

FORBIDDEN = {
    "settlement reads names": ("gongji_settlement", "SELECT * FROM registry.persons"),
    "settlement changes enrolment": ("gongji_settlement", "UPDATE registry.persons SET status = 'active'"),
    "settlement makes a binding": ("gongji_settlement", "INSERT INTO registry.bindings DEFAULT VALUES"),
    "settlement rewrites an entry": ("gongji_settlement", "UPDATE ledger.entries SET contra_fen = 0"),
    "settlement deletes an entry": ("gongji_settlement", "DELETE FROM ledger.entries"),
    "settlement rewrites a decision": ("gongji_settlement", "UPDATE ledger.decisions SET outcome = 'settled'"),
    "settlement deletes a decision": ("gongji_settlement", "DELETE FROM ledger.decisions"),
    "settlement empties the ledger": ("gongji_settlement", "TRUNCATE ledger.entries"),
    "settlement gives an account away": ("gongji_settlement", "UPDATE ledger.accounts SET person_id = 'ME'"),
    "settlement deletes an account": ("gongji_settlement", "DELETE FROM ledger.accounts"),
    "settlement makes a table": ("gongji_settlement", "CREATE TABLE ledger.mine ()"),
    "binding reads balances": ("gongji_binding", "SELECT * FROM ledger.accounts"),
    "binding reads entries": ("gongji_binding", "SELECT * FROM ledger.entries"),
    "binding reads decisions": ("gongji_binding", "SELECT * FROM ledger.decisions"),
    "binding forges a payment": ("gongji_binding", "DELETE FROM ledger.binding_entries"),
    "binding pays itself through its view": ("gongji_binding", "UPDATE ledger.binding_balances SET wallet_fen = 1"),
    "binding forgets what was used": ("gongji_binding", "DELETE FROM ledger.binding_usage"),
    "binding rewrites a difference": (
        "gongji_binding",
        "UPDATE registry.reconciliation_differences SET our_account_fen = 1",
    ),
    "binding forgets a difference": ("gongji_binding", "DELETE FROM registry.reconciliation_differences"),
    "binding rewrites a line": ("gongji_binding", "UPDATE registry.reconciliation_lines SET account_fen = 1"),
    "settlement reads an institution's file": ("gongji_settlement", "SELECT * FROM registry.reconciliation_lines"),
    "settlement looks through binding's view": ("gongji_settlement", "SELECT * FROM ledger.binding_balances"),
    "binding pays itself": ("gongji_binding", "UPDATE ledger.accounts SET prior_years_fen = 1"),
    "binding forges a decision": ("gongji_binding", "INSERT INTO ledger.decisions DEFAULT VALUES"),
    "binding deletes a binding": ("gongji_binding", "DELETE FROM registry.bindings"),
    "binding rewrites a policy": ("gongji_binding", "UPDATE registry.region_policies SET version = 9"),
    "binding rewrites an act": ("gongji_binding", "UPDATE registry.acts SET subject = 'clerk:other'"),
    "binding deletes an act": ("gongji_binding", "DELETE FROM registry.acts"),
    "binding empties the acts": ("gongji_binding", "TRUNCATE registry.acts"),
    "the owner rewrites an act": ("gongji_migrate", "UPDATE registry.acts SET subject = 'clerk:other'"),
    "the owner deletes an act": ("gongji_migrate", "DELETE FROM registry.acts"),
    "the owner empties the acts": ("gongji_migrate", "TRUNCATE registry.acts"),
    "settlement reads acts": ("gongji_settlement", "SELECT * FROM registry.acts"),
    "the auditor writes an act": ("gongji_audit", "INSERT INTO registry.acts DEFAULT VALUES"),
    "binding makes a table": ("gongji_binding", "CREATE TABLE registry.mine ()"),
    "the auditor reads names": ("gongji_audit", "SELECT * FROM registry.persons"),
    "the auditor corrects a balance": ("gongji_audit", "UPDATE ledger.accounts SET prior_years_fen = 1"),
    "settlement seals": ("gongji_settlement", "INSERT INTO ledger.seals DEFAULT VALUES"),
    "settlement takes a page away": ("gongji_settlement", "DELETE FROM ledger.pages"),
    "settlement makes a month": ("gongji_settlement", "SELECT ledger.prepare_month('2026-11-01')"),
    "settlement renames a request": ("gongji_settlement", "UPDATE ledger.names SET request_id = 'X'"),
    "settlement forgets a request": ("gongji_settlement", "DELETE FROM ledger.names"),
    "settlement rewrites a month's entries": ("gongji_settlement", "UPDATE ledger.entries_to_come SET contra_fen = 0"),
    "settlement deletes a month's decisions": ("gongji_settlement", "DELETE FROM ledger.decisions_to_come"),
    "the bookkeeper moves money": ("gongji_bookkeeping", "INSERT INTO ledger.entries DEFAULT VALUES"),
    "the bookkeeper changes a balance": ("gongji_bookkeeping", "UPDATE ledger.accounts SET prior_years_fen = 1"),
    "the bookkeeper rewrites an entry": ("gongji_bookkeeping", "UPDATE ledger.entries SET contra_fen = 0"),
    "the bookkeeper deletes a decision": ("gongji_bookkeeping", "DELETE FROM ledger.decisions"),
    "the bookkeeper breaks a seal": ("gongji_bookkeeping", "UPDATE ledger.seals SET hash = digest"),
    "the bookkeeper removes a seal": ("gongji_bookkeeping", "DELETE FROM ledger.seals"),
    "the bookkeeper reads names": ("gongji_bookkeeping", "SELECT * FROM registry.persons"),
    "the bookkeeper makes a table": ("gongji_bookkeeping", "CREATE TABLE ledger.mine ()"),
    "binding forges a notice": ("gongji_binding", "INSERT INTO registry.notices DEFAULT VALUES"),
    "the auditor seals": ("gongji_audit", "INSERT INTO ledger.seals DEFAULT VALUES"),
    "the key keeper reads where people are insured": (
        "gongji_keys",
        "SELECT region_code, status FROM registry.persons",
    ),
    "the key keeper reads who was found": ("gongji_keys", "SELECT id_number_index FROM registry.persons"),
    "the key keeper moves a person": ("gongji_keys", "UPDATE registry.persons SET region_code = '130100'"),
    "the key keeper makes a person": ("gongji_keys", "INSERT INTO registry.persons DEFAULT VALUES"),
    "the key keeper forgets a person": ("gongji_keys", "DELETE FROM registry.persons"),
    "the key keeper reads bindings": ("gongji_keys", "SELECT * FROM registry.bindings"),
    "the key keeper reads acts": ("gongji_keys", "SELECT * FROM registry.acts"),
    "the key keeper forgets a key": ("gongji_keys", "DELETE FROM registry.sealing_keys"),
    "the key keeper reads the ledger": ("gongji_keys", "SELECT * FROM ledger.accounts"),
    "binding activates a key": ("gongji_binding", "UPDATE registry.sealing_keys SET active = false"),
    "settlement reads about keys": ("gongji_settlement", "SELECT * FROM registry.sealing_keys"),
    "settlement migrates": ("gongji_settlement", "DROP SCHEMA ledger CASCADE"),
}
ALLOWED = {
    "settlement reads enrolment": ("gongji_settlement", "SELECT * FROM registry.settlement_enrolments"),
    "settlement moves a balance": ("gongji_settlement", "UPDATE ledger.accounts SET prior_years_fen = 0"),
    "settlement locks an account": ("gongji_settlement", "SELECT * FROM ledger.accounts FOR NO KEY UPDATE"),
    "binding reads persons": ("gongji_binding", "SELECT * FROM registry.persons"),
    "binding reads payments": ("gongji_binding", "SELECT * FROM ledger.binding_entries"),
    "binding reads balances through its view": ("gongji_binding", "SELECT * FROM ledger.binding_balances"),
    "binding reads what was used": ("gongji_binding", "SELECT * FROM ledger.binding_usage"),
    "binding reads an institution's day": ("gongji_binding", "SELECT * FROM ledger.binding_day_lines"),
    "binding ends a binding": ("gongji_binding", "UPDATE registry.bindings SET valid_until = now()"),
    "binding records an act": (
        "gongji_binding",
        "INSERT INTO registry.acts (at, subject, role, action, person_ids) VALUES (now(), 'clerk:x', 'clerk', 'bind', '{}')",
    ),
    "binding reads which key is active": ("gongji_binding", "SELECT * FROM registry.sealing_keys WHERE active"),
    "the key keeper seals anew": ("gongji_keys", "UPDATE registry.persons SET name_sealed = '', id_number_index = ''"),
    "binding reads acts": ("gongji_binding", "SELECT * FROM registry.acts"),
    "the bookkeeper takes pages away": ("gongji_bookkeeping", "DELETE FROM ledger.pages"),
    "the bookkeeper makes a month": ("gongji_bookkeeping", "SELECT ledger.prepare_month('2026-11-01')"),
    "the auditor reads acts": ("gongji_audit", "SELECT * FROM registry.acts"),
    "the auditor reads entries": ("gongji_audit", "SELECT * FROM ledger.entries"),
}


@pytest.mark.parametrize(("role", "statement"), FORBIDDEN.values(), ids=FORBIDDEN)
async def test_a_role_may_not(database: Database, role: str, statement: str) -> None:
    """Each is stopped by the database itself."""
    connection = await connect(database.url, role=role, name="tests")

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)

    await connection.close()


@pytest.mark.parametrize(("role", "statement"), ALLOWED.values(), ids=ALLOWED)
async def test_a_role_may(database: Database, role: str, statement: str) -> None:
    """The neighbours of what is forbidden are allowed."""
    connection = await connect(database.url, role=role, name="tests")

    done = await connection.execute(statement)

    await connection.close()
    assert done


@pytest.mark.parametrize(
    "role",
    ["gongji_migrate", "gongji_settlement", "gongji_binding", "gongji_bookkeeping", "gongji_audit", "gongji_keys"],
)
async def test_the_roles_themselves_cannot_log_in(database: Database, role: str) -> None:
    """They are groups; logins are made by whoever deploys."""
    connection = await connect(database.url, role=None, name="tests")

    may_login = await connection.fetchval("SELECT rolcanlogin FROM pg_roles WHERE rolname = $1", role)

    await connection.close()
    assert may_login is False
