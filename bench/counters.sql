-- What PostgreSQL counts, and whether everybody has told it.

-- name: sessions
-- How many sessions others than the bench itself have; one that is gone has told what it had to tell.
SELECT count(*)
FROM pg_stat_activity
WHERE
    datname = current_database()
    AND backend_type = 'client backend'
    AND application_name <> current_setting('application_name');

-- name: counters
-- Circles of waiting transactions that it has had to break; of the accounts what was updated, and what became of the old rows.
SELECT
    whole.deadlocks, accounts.n_tup_upd, accounts.n_tup_hot_upd, accounts.autovacuum_count, accounts.n_live_tup,
    accounts.n_dead_tup
FROM pg_stat_database AS whole
CROSS JOIN pg_stat_user_tables AS accounts
WHERE whole.datname = current_database() AND accounts.relid = 'ledger.accounts'::regclass;
