-- Accounts and the entries that make their balances.

-- name: open_accounts
-- Empty accounts for those who have none yet, in the order in which accounts are locked.
INSERT INTO ledger.accounts (province, person_id, balances_year)
SELECT wanted.province, wanted.person_id, $3::smallint
FROM unnest($1::smallint[], $2::text[]) AS wanted (province, person_id)
ORDER BY wanted.province, wanted.person_id
ON CONFLICT DO NOTHING;

-- name: lock_accounts
-- The accounts of everybody a batch is about, locked in one order whoever asks, so that no two batches wait in a circle.
SELECT
    account.province, account.person_id, account.current_year_fen, account.prior_years_fen, account.wallet_fen,
    account.balances_year
FROM ledger.accounts AS account
INNER JOIN unnest($1::smallint[], $2::text[]) AS wanted (province, person_id)
    ON account.province = wanted.province AND account.person_id = wanted.person_id
ORDER BY account.province, account.person_id
FOR NO KEY UPDATE OF account;

-- name: lock_free_accounts
-- The same, leaving out whatever somebody else holds at the moment.
SELECT
    account.province, account.person_id, account.current_year_fen, account.prior_years_fen, account.wallet_fen,
    account.balances_year
FROM ledger.accounts AS account
INNER JOIN unnest($1::smallint[], $2::text[]) AS wanted (province, person_id)
    ON account.province = wanted.province AND account.person_id = wanted.person_id
ORDER BY account.province, account.person_id
FOR NO KEY UPDATE OF account SKIP LOCKED;

-- name: read_accounts
-- The same accounts for somebody who only asks.
SELECT
    account.province, account.person_id, account.current_year_fen, account.prior_years_fen, account.wallet_fen,
    account.balances_year
FROM ledger.accounts AS account
INNER JOIN unnest($1::smallint[], $2::text[]) AS wanted (province, person_id)
    ON account.province = wanted.province AND account.person_id = wanted.person_id;

-- name: of_earlier_years
-- The next accounts whose balances are of an earlier year, locked in the order in which accounts are locked.
SELECT province, person_id, current_year_fen
FROM ledger.accounts
WHERE (province, person_id) > ($1::smallint, $2::text) AND balances_year < $3
ORDER BY province, person_id
LIMIT $4
FOR NO KEY UPDATE;

-- name: turn
-- The balances of these accounts are of this year now.
UPDATE ledger.accounts AS account
SET balances_year = $3::smallint
FROM unnest($1::smallint[], $2::text[]) AS turned (province, person_id)
WHERE account.province = turned.province AND account.person_id = turned.person_id AND account.balances_year < $3;

-- name: record_rollover
-- A run of the rollover that went through to the end.
INSERT INTO ledger.rollovers (year, accounts, moved_fen, started_at, finished_at)
VALUES ($1, $2, $3, $4, clock_timestamp());

-- name: used_this_year
-- What bindings with a yearly limit have used: their payers' entries since a movement id made of the year's first instant.
SELECT entry.binding_id, sum(entry.contra_fen)::bigint AS used_fen
FROM unnest($1::smallint[], $2::text[], $3::uuid[]) AS asked (province, payer_id, binding_id)
INNER JOIN ledger.entries AS entry
    ON entry.province = asked.province
    AND entry.person_id = asked.payer_id
    AND entry.binding_id = asked.binding_id
    AND entry.movement_id >= $4::uuid
GROUP BY entry.binding_id;

-- name: record
-- All that a batch has decided, in one statement: balances, entries, decisions.
WITH moved AS (
    UPDATE ledger.accounts AS account
    SET
        current_year_fen = account.current_year_fen + change.current_year_fen,
        prior_years_fen = account.prior_years_fen + change.prior_years_fen,
        wallet_fen = account.wallet_fen + change.wallet_fen,
        balances_year = greatest(account.balances_year, $29::smallint)
    FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
        AS change (province, person_id, current_year_fen, prior_years_fen, wallet_fen)
    WHERE account.province = change.province AND account.person_id = change.person_id
    RETURNING 1
),

entered AS (
    INSERT INTO ledger.entries (
        province, movement_id, person_id, kind, institution_id, request_id, binding_id,
        current_year_fen, prior_years_fen, wallet_fen, contra, contra_fen, moved_at
    )
    SELECT entry.*, $28::timestamptz
    FROM unnest(
        $6::smallint[], $7::uuid[], $8::text[], $9::text[], $10::text[], $11::text[], $12::uuid[],
        $13::bigint[], $14::bigint[], $15::bigint[], $16::text[], $17::bigint[]
    ) AS entry
    RETURNING 1
),

decided AS (
    INSERT INTO ledger.decisions (
        province, institution_id, request_id, operation, outcome, reason, movement_id,
        request, record, answer, decided_at
    )
    SELECT
        decision.province, decision.institution_id, decision.request_id, decision.operation,
        decision.outcome, decision.reason, decision.movement_id,
        decision.request::jsonb, decision.record::jsonb, decision.answer::jsonb, $28::timestamptz
    FROM unnest(
        $18::smallint[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::uuid[],
        $25::text[], $26::text[], $27::text[]
    ) AS decision (
        province, institution_id, request_id, operation, outcome, reason, movement_id, request, record, answer
    )
    ORDER BY decision.province, decision.institution_id, decision.request_id
    RETURNING 1
)

SELECT
    (SELECT count(*) FROM moved) AS accounts,
    (SELECT count(*) FROM entered) AS entries,
    (SELECT count(*) FROM decided) AS decisions;

-- name: remember_replay
-- A small durable write: with a synchronous standby, a stored decision is not answered again before the standby has it.
SELECT pg_logical_emit_message(true, 'gongji.replay', '');
