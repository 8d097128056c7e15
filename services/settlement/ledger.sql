-- Accounts and the entries that make their balances.

-- name: open_accounts
-- Empty accounts for those who have none yet, in the order in which accounts are locked.
INSERT INTO ledger.accounts (province, person_id, balances_year)
SELECT wanted.province, wanted.person_id, $3::smallint
FROM unnest($1::smallint[], $2::text[]) AS wanted (province, person_id)
ORDER BY wanted.province, wanted.person_id
ON CONFLICT DO NOTHING;

-- name: hold_tables
-- Everything that an inquiry may read, held against whoever moves rows between tables or writes one anew, before anything is read.
LOCK TABLE ONLY
    ledger.names, ONLY ledger.cancellations, ONLY ledger.decisions, ONLY ledger.entries, ONLY ledger.remainders,
    ONLY ledger.accounts, ONLY ledger.transfers, registry.settlement_institutions, registry.settlement_policies,
    registry.settlement_policy_epochs, registry.settlement_enrolments, registry.settlement_bindings,
    registry.settlement_kinship_links, registry.settlement_acceptances
IN ACCESS SHARE MODE;

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
-- The same accounts for somebody who only asks, and locks nothing.
SELECT
    account.province, account.person_id, account.current_year_fen, account.prior_years_fen, account.wallet_fen,
    account.balances_year
FROM ledger.accounts AS account
INNER JOIN unnest($1::smallint[], $2::text[]) AS wanted (province, person_id)
    ON account.province = wanted.province AND account.person_id = wanted.person_id;

-- name: opened
-- Which of these people have an account.
SELECT account.province, account.person_id
FROM ledger.accounts AS account
INNER JOIN unnest($1::smallint[], $2::text[]) AS asked (province, person_id)
    ON account.province = asked.province AND account.person_id = asked.person_id;

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
    -- What is given back this year of a payment of an earlier one is of that year.
    AND coalesce(entry.original_id, entry.movement_id) >= $4::uuid
GROUP BY entry.binding_id;

-- name: record
-- All that a batch has decided, in one statement: changes of balances, entries, decisions under their names, and a page for each
-- province that tells which they are. Rows come whole: a third of what it costs to send them column by column.
WITH moved AS (
    UPDATE ledger.accounts AS account
    SET
        current_year_fen = account.current_year_fen + change.current_year_fen,
        prior_years_fen = account.prior_years_fen + change.prior_years_fen,
        wallet_fen = account.wallet_fen + change.wallet_fen,
        balances_year = greatest(account.balances_year, change.balances_year)
    FROM unnest($1::ledger.account_change[]) AS change
    WHERE account.province = change.province AND account.person_id = change.person_id
    RETURNING 1
),

entered AS (
    INSERT INTO ledger.entries (
        province, movement_id, person_id, kind, institution_id, request_id, binding_id, current_year_fen, prior_years_fen,
        wallet_fen, contra, contra_fen, original_id, insured_region, care_region, moved_at
    )
    SELECT * FROM unnest($2::ledger.new_entry[])
    RETURNING 1
),

named AS (
    INSERT INTO ledger.names (province, institution_id, request_id, decision_id)
    SELECT province, institution_id, request_id, decision_id
    FROM unnest($3::ledger.new_decision[])
    ORDER BY province, institution_id, request_id
    RETURNING 1
),

decided AS (
    INSERT INTO ledger.decisions (
        province, decision_id, institution_id, request_id, operation, outcome, reason, moved, request, record, answer, decided_at
    )
    SELECT * FROM unnest($3::ledger.new_decision[])
    RETURNING 1
),

paged AS (
    INSERT INTO ledger.pages (province, ids)
    SELECT written.province, array_agg(written.id ORDER BY written.place)
    FROM unnest($4::smallint[], $5::uuid[]) WITH ORDINALITY AS written (province, id, place)
    GROUP BY written.province
    RETURNING 1
)

SELECT
    (SELECT count(*) FROM moved) AS accounts,
    (SELECT count(*) FROM entered) AS entries,
    (SELECT count(*) FROM named) AS decisions;

-- name: movements
-- What movements did to each person.
SELECT
    entry.province, entry.movement_id, entry.person_id, entry.kind, entry.binding_id, entry.current_year_fen,
    entry.prior_years_fen, entry.wallet_fen, entry.contra, entry.original_id, entry.insured_region, entry.care_region
FROM unnest($1::smallint[], $2::uuid[]) AS asked (province, movement_id)
INNER JOIN ledger.entries AS entry
    ON entry.province = asked.province AND entry.movement_id = asked.movement_id;

-- name: standing
-- Whether requests are cancelled, and what is left to give back of those of which something was given back.
SELECT
    asked.province,
    asked.institution_id,
    asked.request_id,
    cancellation.request_id IS NOT NULL AS cancelled,
    left_over.person_id,
    left_over.current_year_fen,
    left_over.prior_years_fen,
    left_over.wallet_fen
FROM unnest($1::smallint[], $2::text[], $3::text[], $4::uuid[])
    AS asked (province, institution_id, request_id, movement_id)
LEFT JOIN ledger.cancellations AS cancellation
    ON cancellation.province = asked.province
    AND cancellation.institution_id = asked.institution_id
    AND cancellation.request_id = asked.request_id
LEFT JOIN ledger.remainders AS left_over
    ON left_over.province = asked.province AND left_over.movement_id = asked.movement_id;

-- name: give_back
-- So much less is left to give back of each of these entries. The first time, the entry itself says what was paid.
WITH back AS (
    SELECT *
    FROM unnest($1::smallint[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
        AS back (province, movement_id, person_id, current_year_fen, prior_years_fen, wallet_fen)
),

changed AS (
    UPDATE ledger.remainders AS left_over
    SET
        current_year_fen = left_over.current_year_fen - back.current_year_fen,
        prior_years_fen = left_over.prior_years_fen - back.prior_years_fen,
        wallet_fen = left_over.wallet_fen - back.wallet_fen
    FROM back
    WHERE
        left_over.province = back.province
        AND left_over.movement_id = back.movement_id
        AND left_over.person_id = back.person_id
    RETURNING left_over.province, left_over.movement_id, left_over.person_id
)

INSERT INTO ledger.remainders (province, movement_id, person_id, current_year_fen, prior_years_fen, wallet_fen)
SELECT
    back.province,
    back.movement_id,
    back.person_id,
    -entry.current_year_fen - back.current_year_fen,
    -entry.prior_years_fen - back.prior_years_fen,
    -entry.wallet_fen - back.wallet_fen
FROM back
INNER JOIN ledger.entries AS entry USING (province, movement_id, person_id)
WHERE NOT EXISTS (
    SELECT FROM changed
    WHERE
        changed.province = back.province
        AND changed.movement_id = back.movement_id
        AND changed.person_id = back.person_id
);

-- name: day_totals
-- An institution's day, between the ids of its first instant and of the next day's: what accounts paid for its settlements, and what was returned, whenever the original was.
SELECT
    count(DISTINCT entry.movement_id) FILTER (WHERE entry.kind = 'settlement') AS count,
    coalesce(sum(entry.contra_fen) FILTER (WHERE entry.kind = 'settlement'), 0)::bigint AS account_fen,
    coalesce(
        sum(entry.contra_fen) FILTER (WHERE entry.kind = 'settlement' AND entry.binding_id IS NOT NULL), 0
    )::bigint AS mutual_aid_fen,
    coalesce(-sum(entry.contra_fen) FILTER (WHERE entry.kind IN ('refund', 'refund_reversal')), 0)::bigint
        AS refunded_fen
FROM ledger.entries AS entry
WHERE entry.province = $1 AND entry.institution_id = $2 AND entry.movement_id >= $3::uuid AND entry.movement_id < $4::uuid;

-- name: compare_day
-- An institution's day beside the lines of its own: our totals, how many settlements differ, and the first of them by request id. One statement, so
-- that whatever is settled meanwhile is in all of it or in none.
WITH day AS MATERIALIZED (
    SELECT
        entry.request_id,
        entry.movement_id,
        entry.kind,
        sum(entry.contra_fen)::bigint AS account_fen,
        coalesce(sum(entry.contra_fen) FILTER (WHERE entry.binding_id IS NOT NULL), 0)::bigint AS mutual_aid_fen
    FROM ledger.entries AS entry
    WHERE
        entry.province = $1
        AND entry.institution_id = $2
        AND entry.movement_id >= $3::uuid
        AND entry.movement_id < $4::uuid
        AND entry.kind IN ('settlement', 'refund', 'refund_reversal')
    GROUP BY entry.request_id, entry.movement_id, entry.kind
),

ours AS (
    SELECT request_id, movement_id, account_fen, mutual_aid_fen
    FROM day
    WHERE kind = 'settlement'
),

theirs AS MATERIALIZED (
    SELECT request_id, account_fen, mutual_aid_fen
    FROM unnest($5::text[], $6::bigint[], $7::bigint[]) AS line (request_id, account_fen, mutual_aid_fen)
),

totals AS (
    SELECT
        count(*) FILTER (WHERE kind = 'settlement') AS count,
        coalesce(sum(account_fen) FILTER (WHERE kind = 'settlement'), 0)::bigint AS account_fen,
        coalesce(sum(mutual_aid_fen) FILTER (WHERE kind = 'settlement'), 0)::bigint AS mutual_aid_fen,
        coalesce(-sum(account_fen) FILTER (WHERE kind <> 'settlement'), 0)::bigint AS refunded_fen
    FROM day
),

differing AS (
    SELECT
        coalesce(ours.request_id, theirs.request_id) AS request_id,
        CASE
            WHEN ours.request_id IS NULL THEN 'missing_here'
            WHEN theirs.request_id IS NULL THEN 'missing_there'
            ELSE 'different'
        END AS kind,
        ours.movement_id AS our_movement_id,
        ours.account_fen AS our_account_fen,
        ours.mutual_aid_fen AS our_mutual_aid_fen,
        theirs.account_fen AS their_account_fen,
        theirs.mutual_aid_fen AS their_mutual_aid_fen,
        count(*) OVER () AS differences
    FROM ours
    FULL JOIN theirs ON theirs.request_id = ours.request_id
    WHERE
        ours.request_id IS NULL
        OR theirs.request_id IS NULL
        OR (ours.account_fen, ours.mutual_aid_fen) <> (theirs.account_fen, theirs.mutual_aid_fen)
    ORDER BY coalesce(ours.request_id, theirs.request_id) COLLATE "C"
    LIMIT $8
)

SELECT
    totals.count,
    totals.account_fen,
    totals.mutual_aid_fen,
    totals.refunded_fen,
    differing.request_id,
    differing.kind,
    differing.our_movement_id,
    differing.our_account_fen,
    differing.our_mutual_aid_fen,
    differing.their_account_fen,
    differing.their_mutual_aid_fen,
    coalesce(differing.differences, 0) AS differences
FROM totals
LEFT JOIN differing ON true;
