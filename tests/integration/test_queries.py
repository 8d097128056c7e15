"""Every query prepares under the role that uses it, and the hot ones go by their indexes."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from deploy.devstack.state import StackState
from shared.postgres.pool import connect
from shared.postgres.queries import load_queries
from tests.conftest import Database, clone
from tests.support.months import prepare_two_years, timed_id
from tests.support.plans import nodes_of, plan_of

FILES = {
    ("services.settlement", "known.sql"): "gongji_settlement",
    ("services.settlement", "ledger.sql"): "gongji_settlement",
    ("services.settlement", "decisions.sql"): "gongji_settlement",
    ("services.settlement", "transfers.sql"): "gongji_settlement",
    ("services.binding", "registry.sql"): "gongji_binding",
    ("services.binding", "bindings.sql"): "gongji_binding",
    ("services.binding", "transfers.sql"): "gongji_binding",
    ("services.binding", "payments.sql"): "gongji_binding",
    ("services.binding", "ledger.sql"): "gongji_binding",
    ("services.binding", "decisions.sql"): "gongji_binding",
    ("services.bookkeeping", "seals.sql"): "gongji_bookkeeping",
    ("services.bookkeeping", "events.sql"): "gongji_bookkeeping",
    ("services.bookkeeping", "months.sql"): "gongji_bookkeeping",
    ("services.bookkeeping", "clearing.sql"): "gongji_bookkeeping",
    ("cli", "clearing.sql"): "gongji_audit",
    ("services.binding", "reconciliations.sql"): "gongji_binding",
    ("cli", "explain.sql"): "gongji_audit",
    ("cli", "audit.sql"): "gongji_audit",
    ("services.binding", "resealing.sql"): "gongji_keys",
    ("cli", "acts.sql"): "gongji_audit",
    ("cli", "policy.sql"): "gongji_audit",
}
QUERIES = [
    pytest.param(role, text, id=f"{package.rpartition('.')[2]}.{file.removesuffix('.sql')}.{name}")
    for (package, file), role in FILES.items()
    for name, text in load_queries(package, file).items()
]


@contextmanager
def one_for_all(servers: StackState, template: str) -> Iterator[tuple[Database, asyncio.Runner]]:
    """A database that many tests look at and none changes."""
    with asyncio.Runner() as runner:
        cloned = clone(servers, template)
        yield runner.run(cloned.__aenter__()), runner
        runner.run(cloned.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def empty(servers: StackState, template: str) -> Iterator[Database]:
    """For everybody who only has it prepare."""
    with one_for_all(servers, template) as (database, _):
        yield database


@pytest.fixture(scope="module")
def populated(servers: StackState, template: str) -> Iterator[Database]:
    """With people by the thousand, for everybody who only has it plan."""

    async def populate(url: str) -> None:
        connection = await connect(url, role=None, name="tests")
        await _populate(connection)
        await connection.close()

    with one_for_all(servers, template) as (database, runner):
        runner.run(populate(database.url))
        yield database


@pytest.mark.parametrize(("role", "query"), QUERIES)
async def test_a_query_prepares(empty: Database, role: str, query: str) -> None:
    """PostgreSQL accepts it, as this role, with this schema."""
    connection = await connect(empty.url, role=role, name="tests")

    prepared = await connection.prepare(query)

    assert prepared.get_query()
    await connection.close()


LEDGER = load_queries("services.settlement", "ledger.sql")
KNOWN = load_queries("services.settlement", "known.sql")
BINDINGS = load_queries("services.binding", "bindings.sql")
TRANSFERS = load_queries("services.settlement", "transfers.sql")
GIFTS = load_queries("services.binding", "transfers.sql")
BINDING_REGISTRY = load_queries("services.binding", "registry.sql")
BINDING_LEDGER = load_queries("services.binding", "ledger.sql")
EVENTS = load_queries("services.bookkeeping", "events.sql")
RECONCILIATIONS = load_queries("services.binding", "reconciliations.sql")
HOT = {
    "settlement.arriving": (TRANSFERS["arriving"], ["ARRAY[13]::smallint[]", "ARRAY['P1']"]),
    "settlement.made_since": (
        TRANSFERS["made_since"],
        ["ARRAY[13]::smallint[]", "ARRAY['P1']", "'00000000-0000-0000-0000-000000000000'::uuid"],
    ),
    "settlement.due": (TRANSFERS["due"], ["13::smallint", "'2026-11-22T06:00Z'::timestamptz", "200"]),
    "settlement.of_earlier_years": (LEDGER["of_earlier_years"], ["13::smallint", "'P1'", "2026", "100"]),
    "binding.list_by_giver": (
        GIFTS["list_by_giver"],
        ["'P1'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid", "50"],
    ),
    "binding.list_by_receiver": (
        GIFTS["list_by_receiver"],
        ["'P1'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid", "50"],
    ),
    "settlement.lock_accounts": (LEDGER["lock_accounts"], ["ARRAY[13,13]::smallint[]", "ARRAY['P1','P2']"]),
    "settlement.lock_free_accounts": (LEDGER["lock_free_accounts"], ["ARRAY[13,13]::smallint[]", "ARRAY['P1','P2']"]),
    "settlement.read_accounts": (LEDGER["read_accounts"], ["ARRAY[13,13]::smallint[]", "ARRAY['P1','P2']"]),
    "settlement.opened": (LEDGER["opened"], ["ARRAY[13,13]::smallint[]", "ARRAY['P1','P2']"]),
    "settlement.known": (
        KNOWN["known"],
        [
            "ARRAY[13]::smallint[]",
            "ARRAY['H1']",
            "ARRAY['R1']",
            "ARRAY[13]::smallint[]",
            "ARRAY['P1']",
            "'2026-11-22'::date",
        ],
    ),
    "settlement.used_this_year": (
        LEDGER["used_this_year"],
        [
            "ARRAY[13]::smallint[]",
            "ARRAY['P1']",
            "ARRAY['00000000-0000-0000-0000-000000000001']::uuid[]",
            "'00000000-0000-0000-0000-000000000000'::uuid",
        ],
    ),
    "binding.of_beneficiary": (BINDINGS["of_beneficiary"], ["13::smallint", "'P2'", "'2026-11-22'::date", "'P1'"]),
    "binding.accounts": (BINDING_LEDGER["accounts"], ["ARRAY[13,13]::smallint[]", "ARRAY['P1','P2']"]),
    "binding.used_since": (
        BINDING_LEDGER["used_since"],
        [
            "ARRAY[13]::smallint[]",
            "ARRAY['P1']",
            "ARRAY['00000000-0000-0000-0000-000000000001']::uuid[]",
            "'00000000-0000-0000-0000-000000000000'::uuid",
        ],
    ),
    "binding.list_by_payer": (
        BINDINGS["list_by_payer"],
        ["'P1'", "'00000000-0000-0000-0000-000000000000'::uuid", "50"],
    ),
    "binding.list_by_beneficiary": (
        BINDINGS["list_by_beneficiary"],
        ["'P1'", "'00000000-0000-0000-0000-000000000000'::uuid", "50"],
    ),
    "binding.list_by_institution": (
        RECONCILIATIONS["list_by_institution"],
        ["'H1'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid", "50"],
    ),
    "binding.differences": (
        RECONCILIATIONS["differences"],
        ["13::smallint", "'00000000-0000-0000-0000-000000000001'::uuid", "'R5'", "50"],
    ),
    "binding.begin": (
        RECONCILIATIONS["begin"],
        [
            "13::smallint",
            "'00000000-0000-0000-0000-000000000001'::uuid",
            "'H1'",
            "'130100'",
            "'2026-11-22'::date",
            "'2026-11-22T06:00Z'::timestamptz",
            "'test'",
        ],
    ),
    "binding.left_behind": (
        RECONCILIATIONS["left_behind"],
        ["'H1'", "'00000000-0000-0000-0000-000000000001'::uuid"],
    ),
    "binding.abandon_stalled": (RECONCILIATIONS["abandon_stalled"], ["'2026-11-22T06:00Z'::timestamptz"]),
    "binding.strike": (
        RECONCILIATIONS["strike"],
        ["13::smallint", "'00000000-0000-0000-0000-000000000001'::uuid"],
    ),
    "binding.acts_about": (BINDING_REGISTRY["acts_about"], ["'P1'", "9223372036854775807", "50"]),
    "bookkeeping.provinces": (EVENTS["provinces"], []),
    "bookkeeping.next_seal": (EVENTS["next_seal"], ["13::smallint"]),
    "binding.lock_standing": (BINDINGS["lock_standing"], ["13::smallint", "'P1'", "'2026-11-22'::date"]),
}
# Small tables that every cell has whole, and the ends of the books, empty while months are prepared ahead: reading one from end to
# end is the quickest way.
SMALL = {
    "institutions",
    "policy_epochs",
    "region_policies",
    "entries_to_come",
    "entries_before",
    "decisions_to_come",
    "decisions_before",
    "relayed",
}


def with_arguments(query: str, arguments: list[str]) -> str:
    """The query with its arguments in it, for EXPLAIN."""
    for number, argument in reversed(list(enumerate(arguments, 1))):
        query = query.replace(f"${number}::smallint[]", argument).replace(f"${number}::text[]", argument)
        query = query.replace(f"${number}::uuid[]", argument).replace(f"${number}", argument)
    return query


@pytest.mark.parametrize(("query", "arguments"), HOT.values(), ids=HOT)
async def test_a_hot_query_never_reads_a_whole_table(populated: Database, query: str, arguments: list[str]) -> None:
    """With people by the thousand, every table is reached by an index."""
    connection = await connect(populated.url, role=None, name="tests")

    plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {with_arguments(query, arguments)}")
    await connection.close()

    scanned = {node["Relation Name"] for node in nodes_of(plan) if node["Node Type"] == "Seq Scan"}
    assert scanned <= SMALL


@pytest.mark.parametrize(
    ("query", "found_by"),
    [
        ("settlement.known", {"persons_by_person_id", "bindings_by_beneficiary_id"}),
        ("settlement.lock_accounts", {"accounts_by_person_id"}),
        ("settlement.lock_free_accounts", {"accounts_by_person_id"}),
        ("settlement.read_accounts", {"accounts_by_person_id"}),
    ],
)
async def test_a_settlement_finds_people_by_hash(populated: Database, query: str, found_by: set[str]) -> None:
    """The planner takes what costs half of going down a tree."""
    connection = await connect(populated.url, role=None, name="tests")

    plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {with_arguments(*HOT[query])}")
    await connection.close()

    used = {node["Index Name"] for node in nodes_of(plan) if "Index Name" in node}
    assert found_by <= used
    assert not used & {"accounts_pkey", "persons_pkey"}


async def test_whether_all_was_told_is_known_from_the_last_seals(populated: Database) -> None:
    """A second look is made each second, and seals are for ever."""
    connection = await connect(populated.url, role=None, name="tests")

    nodes = await plan_of(connection, EVENTS["provinces"])
    await connection.close()

    looked_at = sum(
        node["Actual Rows"] * node["Actual Loops"] for node in nodes if node.get("Relation Name") == "seals"
    )
    assert 0 < looked_at < 10


async def test_a_debit_is_a_hot_update(database: Database) -> None:
    """No index holds a balance, and rows leave room: an update touches no index."""
    connection = await connect(database.url, role=None, name="tests")
    await _populate(connection)
    await connection.execute("UPDATE ledger.accounts SET current_year_fen = 7 WHERE person_id = 'P1'")
    await connection.execute("SELECT pg_stat_force_next_flush()")

    row = await connection.fetchrow(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'accounts'"
    )

    await connection.close()
    assert row is not None
    assert row["n_tup_upd"] == row["n_tup_hot_upd"] == 1


async def _populate(connection: Any) -> None:
    """Everything by the twenty thousand, the books of two years among it."""
    await prepare_two_years(connection)
    await connection.execute(
        f"""
        INSERT INTO registry.persons (
            province, person_id, region_code, insurance, status, name_sealed, id_number_sealed, id_number_index,
            registered_at, changed_at
        )
        SELECT 13, 'P' || n, '130100', 'employee', 'active', '', '', '', now(), now() FROM generate_series(1, 20000) AS n;
        INSERT INTO registry.bindings (
            province, binding_id, payer_id, beneficiary_province, beneficiary_id, relation, valid_from, wallet,
            auto_accept, bound_at, bound_by
        )
        SELECT 13, gen_random_uuid(), 'P' || n, 13, 'P' || n + 1, 'son', '2026-01-01', false, false, now(), 'test'
        FROM generate_series(1, 20000) AS n;
        INSERT INTO registry.kinship_links (province, kinship_link_id, holder_id, shown_id, linked_at, linked_by)
        SELECT 13, gen_random_uuid(), 'P' || n, 'P' || n + 1, now(), 'test' FROM generate_series(1, 20000) AS n;
        INSERT INTO ledger.accounts (province, person_id, balances_year)
        SELECT 13, 'P' || n, 2026 FROM generate_series(1, 20000) AS n;
        INSERT INTO ledger.transfers (
            province, transfer_id, from_person_id, to_province, to_person_id, binding_id, current_year_fen,
            prior_years_fen, state, made_at, accept_by, closed_at, closed_movement_id
        )
        SELECT
            13, gen_random_uuid(), 'P' || n, 13, 'P' || n + 1, gen_random_uuid(), 1, 0,
            CASE WHEN n % 20 = 0 THEN 'pending' ELSE 'arrived' END, now(), now() + n * interval '1 minute',
            CASE WHEN n % 20 > 0 THEN now() END, CASE WHEN n % 20 > 0 THEN gen_random_uuid() END
        FROM generate_series(1, 20000) AS n;
        INSERT INTO ledger.cancellations (province, institution_id, request_id, cancelled_by, cancelled_at)
        SELECT 13, 'H1', 'C' || n, 'C', now() FROM generate_series(1, 20000) AS n;
        INSERT INTO registry.transfer_acceptances (province, transfer_id, accepted_at, accepted_by)
        SELECT province, transfer_id, now(), 'member:1' FROM ledger.transfers;
        INSERT INTO ledger.decisions (
            province, decision_id, institution_id, request_id, operation, outcome, reason, moved, request, record, answer,
            decided_at
        )
        SELECT
            13, {timed_id("n", 20_000)}, 'H1', 'R' || n, 'settle', 'declined', 'no_binding', false, '{{}}', '{{}}', '{{}}', now()
        FROM generate_series(1, 20000) AS n;
        INSERT INTO ledger.names SELECT province, institution_id, request_id, decision_id FROM ledger.decisions;
        INSERT INTO ledger.entries (
            province, movement_id, person_id, kind, institution_id, request_id, current_year_fen, prior_years_fen,
            wallet_fen, contra, contra_fen, insured_region, moved_at
        )
        SELECT
            13, {timed_id("n", 20_000)}, 'P' || n % 5000, 'credit', 'A1', 'R' || n, 1, 0, 0, 'contribution', -1, '130100', now()
        FROM generate_series(1, 20000) AS n;
        INSERT INTO ledger.seals (province, seal_no, ids, digest, hash, sealed_at)
        SELECT 13, n, ARRAY[gen_random_uuid()], sha256(''), sha256(''), now() FROM generate_series(1, 20000) AS n;
        INSERT INTO registry.acts (at, subject, role, action, person_ids)
        SELECT now(), 'clerk:li', 'clerk', 'read_person', ARRAY['P' || n] FROM generate_series(1, 20000) AS n;
        INSERT INTO registry.reconciliations (
            province, reconciliation_id, institution_id, insured_region, date, state, lines_read, started_at, started_by,
            progress_at
        )
        SELECT 13, gen_random_uuid(), 'H' || n, '130100', '2026-11-22', 'abandoned', 0, now(), 'test', now()
        FROM generate_series(1, 20000) AS n;
        INSERT INTO registry.reconciliation_lines
        SELECT 13, gen_random_uuid(), n, 'R' || n, 1, 0 FROM generate_series(1, 20000) AS n;
        INSERT INTO registry.reconciliation_differences (
            province, reconciliation_id, request_id, kind, their_account_fen, their_mutual_aid_fen
        )
        SELECT 13, gen_random_uuid(), 'R' || n, 'missing_here', 1, 0 FROM generate_series(1, 20000) AS n;
        """  # noqa: S608 a test's own words
    )
    await connection.execute("ANALYZE")
