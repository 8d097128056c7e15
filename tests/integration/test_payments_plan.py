"""Listing payments goes by indexes and reads nobody else's entries, however much has been paid by others.

The shape of the plan is asserted, not a time at a volume: a plan that reads one person's index costs the same at a hundred
thousand entries and at ten million, and says so on any machine; a time says it on none.
"""

import asyncpg
import pytest

from shared.postgres.pool import connect
from shared.postgres.queries import load_queries
from tests.conftest import Database
from tests.support.months import prepare_two_years, timed_id
from tests.support.plans import plan_of

PAGE = load_queries("services.binding", "payments.sql")["page"]
EVERYTHING = "'00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'"
FROM_THE_TOP = "'ffffffff-ffff-ffff-ffff-ffffffffffff', 0"
# In the middle of the two years.
FROM_A_CURSOR = "'019b7708-4200-7000-8000-000000000000', 1"
PERSONS, ENTRIES, LINES_MAX = 30_000, 300_000, 51
# A small table that every cell has whole, and one that is empty while months are prepared ahead: reading them from end to end
# may be the quickest way.
SMALL = {"institutions", "entries_to_come", "entries_before"}


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_page_is_read_along_one_persons_index(database: Database, mode: str) -> None:
    """On every side, from the top and from a cursor, in every month; also for the payer of a hundred thousand entries."""
    await populate(database.url, PERSONS, ENTRIES)
    connection = await connect(database.url, role="gongji_binding", name="tests")
    await connection.execute(f"SET plan_cache_mode = {mode}")
    await connection.execute(f"PREPARE page AS {PAGE}")

    plans = [
        await plan_of(connection, f"EXECUTE page ('{person}', {role}, {EVERYTHING}, {place}, {LINES_MAX})")
        for person in ("P1", "P2", "P3")
        for role in ("NULL", "'self'", "'payer'", "'beneficiary'")
        for place in (FROM_THE_TOP, FROM_A_CURSOR)
    ]
    await connection.close()

    for nodes in plans:
        assert {node["Relation Name"] for node in nodes if "Seq Scan" in node["Node Type"]} <= SMALL
        read = [node for node in nodes if node.get("Relation Name", "").startswith("entries_2")]
        assert read
        for node in read:
            assert node["Node Type"] == "Index Scan"
            assert node["Index Name"].endswith("_province_person_id_movement_id_idx")


async def populate(url: str, persons: int, entries: int) -> None:
    """Everybody is bound by two others, pays for two others and for themselves; P1 has a third of all entries."""
    connection = await asyncpg.connect(url)
    await prepare_two_years(connection)
    await connection.execute(
        f"""
        INSERT INTO registry.institutions (institution_id, name, kind, region_code, status, registered_at, changed_at)
        SELECT 'H' || n, 'H', 'hospital', '130100', 'active', now(), now() FROM generate_series(1, 500) AS n;

        INSERT INTO registry.persons (
            province, person_id, region_code, insurance, status, name_sealed, id_number_sealed, id_number_index,
            registered_at, changed_at
        )
        SELECT 13, 'P' || n, '130100', 'employee', 'active', '', '', '', now(), now()
        FROM generate_series(1, {persons}) AS n;

        -- P<n> pays for P<n+1> by binding <n> and for P<n+2> by binding <{persons}+n>.
        INSERT INTO registry.bindings (
            province, binding_id, payer_id, beneficiary_province, beneficiary_id, relation, valid_from, wallet,
            auto_accept, bound_at, bound_by
        )
        SELECT
            13, lpad(to_hex(n + which * {persons}), 32, '0')::uuid, 'P' || n, 13, 'P' || (n + which) % {persons} + 1,
            'son', '2026-01-01', false, false, now(), 'test'
        FROM generate_series(1, {persons}) AS n, generate_series(0, 1) AS which;

        INSERT INTO ledger.entries (
            province, movement_id, person_id, kind, institution_id, request_id, binding_id, current_year_fen,
            prior_years_fen, wallet_fen, contra, contra_fen, insured_region, care_region, moved_at
        )
        SELECT
            13,
            {timed_id("n", entries)},
            'P' || person, 'settlement', 'H' || n % 500 + 1, 'R' || n,
            CASE n % 4 WHEN 0 THEN lpad(to_hex(person), 32, '0')::uuid WHEN 1 THEN lpad(to_hex(person + {persons}), 32, '0')::uuid END,
            -100, 0, 0, 'payable', 100, '130100', '130100', now()
        FROM
            generate_series(1, {entries}) AS n,
            LATERAL (SELECT CASE n % 3 WHEN 0 THEN 1 ELSE (n::bigint * 7919) % {persons} + 1 END AS person) AS one;
        """  # noqa: S608 a test's own numbers
    )
    await connection.execute("ANALYZE")
    await connection.close()
