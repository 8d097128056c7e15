-- Files of an institution's day: how far they are read, their lines, and what differs from the ledger.

-- name: begin
-- A file begins to come, unless another of its institution is under way. Its row is there before its lines, so that others can
-- see how far it is. Looked for first: a row that is being compared would be waited for by its index.
INSERT INTO registry.reconciliations (
    province, reconciliation_id, institution_id, insured_region, date, state, lines_read, started_at, started_by, progress_at
)
SELECT $1::smallint, $2::uuid, $3::text, $4::text, $5::date, 'reading', 0, $6::timestamptz, $7::text, $6::timestamptz
WHERE NOT EXISTS (SELECT 1 FROM registry.reconciliations WHERE institution_id = $3::text AND state = 'reading')
ON CONFLICT (institution_id) WHERE state = 'reading' DO NOTHING
RETURNING reconciliation_id;

-- name: advance
-- So far the file is read. Nobody's, if it was taken for abandoned in the meantime.
UPDATE registry.reconciliations
SET lines_read = $3, progress_at = $4
WHERE province = $1 AND reconciliation_id = $2 AND state = 'reading'
RETURNING reconciliation_id;

-- name: wait
-- All of a file is read, and it waits for its turn: it is not abandoned.
UPDATE registry.reconciliations
SET progress_at = $3
WHERE province = $1 AND reconciliation_id = $2 AND state = 'reading';

-- name: lock
-- A file that is still being read: nobody takes it for abandoned while it is compared.
SELECT reconciliation_id
FROM registry.reconciliations
WHERE province = $1 AND reconciliation_id = $2 AND state = 'reading'
FOR UPDATE;

-- name: take_time
-- A million lines take longer than any other statement of a service may. Until the transaction ends.
SELECT set_config('statement_timeout', $1, true);

-- name: repeated
-- Requests that a file names more than once: the first line, and the one that says it again.
SELECT min(line) AS first_line, max(line) AS again
FROM registry.reconciliation_lines
WHERE province = $1 AND reconciliation_id = $2
GROUP BY request_id
HAVING count(*) > 1
ORDER BY again
LIMIT $3;

-- name: left_behind
-- How many differences an institution's files have left, in every province, since an id made of a moment.
SELECT coalesce(sum(missing_here + missing_there + different), 0)::bigint AS differences
FROM registry.reconciliations
WHERE institution_id = $1 AND reconciliation_id >= $2;

-- name: compare
-- The file beside the ledger's day, between the ids of its first instant and of the next day's: writes down each difference, and what both sides add up to; nothing
-- of it, and no more than how many there are, if they are more than may be kept. One statement, so that whatever is settled meanwhile is in all of it or in none.
WITH day AS MATERIALIZED (
    SELECT request_id, movement_id, kind, account_fen, mutual_aid_fen
    FROM ledger.binding_day_lines
    WHERE province = $1 AND institution_id = $3 AND movement_id >= $4::uuid AND movement_id < $5::uuid
),

ours AS (
    SELECT request_id, movement_id, account_fen, mutual_aid_fen
    FROM day
    WHERE kind = 'settlement'
),

theirs AS MATERIALIZED (
    SELECT request_id, account_fen, mutual_aid_fen
    FROM registry.reconciliation_lines
    WHERE province = $1 AND reconciliation_id = $2
),

differing AS MATERIALIZED (
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
        theirs.mutual_aid_fen AS their_mutual_aid_fen
    FROM ours
    FULL JOIN theirs ON theirs.request_id = ours.request_id
    WHERE
        ours.request_id IS NULL
        OR theirs.request_id IS NULL
        OR (ours.account_fen, ours.mutual_aid_fen) <> (theirs.account_fen, theirs.mutual_aid_fen)
),

found AS MATERIALIZED (
    SELECT
        count(*) AS differences,
        count(*) FILTER (WHERE kind = 'missing_here') AS missing_here,
        count(*) FILTER (WHERE kind = 'missing_there') AS missing_there,
        count(*) FILTER (WHERE kind = 'different') AS different
    FROM differing
),

kept AS (
    INSERT INTO registry.reconciliation_differences (
        province, reconciliation_id, request_id, kind, our_movement_id, our_account_fen, our_mutual_aid_fen,
        their_account_fen, their_mutual_aid_fen
    )
    SELECT
        $1,
        $2,
        differing.request_id,
        differing.kind,
        differing.our_movement_id,
        differing.our_account_fen,
        differing.our_mutual_aid_fen,
        differing.their_account_fen,
        differing.their_mutual_aid_fen
    FROM differing
    CROSS JOIN found
    WHERE found.differences <= $7
),

our_totals AS (
    SELECT
        count(*) FILTER (WHERE kind = 'settlement') AS count,
        coalesce(sum(account_fen) FILTER (WHERE kind = 'settlement'), 0)::bigint AS account_fen,
        coalesce(sum(mutual_aid_fen) FILTER (WHERE kind = 'settlement'), 0)::bigint AS mutual_aid_fen,
        coalesce(-sum(account_fen) FILTER (WHERE kind <> 'settlement'), 0)::bigint AS refunded_fen
    FROM day
),

their_totals AS (
    SELECT
        count(*) AS count,
        coalesce(sum(account_fen), 0)::bigint AS account_fen,
        coalesce(sum(mutual_aid_fen), 0)::bigint AS mutual_aid_fen
    FROM theirs
),

compared AS (
    UPDATE registry.reconciliations AS reconciliation
    SET
        state = CASE WHEN found.differences = 0 THEN 'balanced' ELSE 'differs' END,
        compared_at = $6,
        our_count = our_totals.count,
        our_account_fen = our_totals.account_fen,
        our_mutual_aid_fen = our_totals.mutual_aid_fen,
        our_refunded_fen = our_totals.refunded_fen,
        their_count = their_totals.count,
        their_account_fen = their_totals.account_fen,
        their_mutual_aid_fen = their_totals.mutual_aid_fen,
        missing_here = found.missing_here,
        missing_there = found.missing_there,
        different = found.different
    FROM found, our_totals, their_totals
    WHERE reconciliation.province = $1 AND reconciliation.reconciliation_id = $2 AND found.differences <= $7
    RETURNING reconciliation.*
)

SELECT found.differences, compared.*
FROM found
LEFT JOIN compared ON true;

-- name: forget_lines
-- What was compared, or never will be.
DELETE FROM registry.reconciliation_lines
WHERE province = $1 AND reconciliation_id = $2;

-- name: strike
-- A file that was refused, or had been answered before, leaves nothing.
WITH struck AS (
    DELETE FROM registry.reconciliations
    WHERE province = $1 AND reconciliation_id = $2 AND state = 'reading'
    RETURNING province, reconciliation_id
)

DELETE FROM registry.reconciliation_lines AS line
USING struck
WHERE line.province = struck.province AND line.reconciliation_id = struck.reconciliation_id;

-- name: abandon
-- A file that did not come to its end.
WITH abandoned AS (
    UPDATE registry.reconciliations
    SET state = 'abandoned'
    WHERE province = $1 AND reconciliation_id = $2 AND state = 'reading'
    RETURNING province, reconciliation_id
),

forgotten AS (
    DELETE FROM registry.reconciliation_lines AS line
    USING abandoned
    WHERE line.province = abandoned.province AND line.reconciliation_id = abandoned.reconciliation_id
)

SELECT EXISTS (SELECT 1 FROM abandoned);

-- name: abandon_stalled
-- Files that stopped coming with the service that read them.
WITH stalled AS (
    SELECT province, reconciliation_id
    FROM registry.reconciliations
    WHERE state = 'reading' AND progress_at < $1
    FOR UPDATE SKIP LOCKED
),

abandoned AS (
    UPDATE registry.reconciliations AS reconciliation
    SET state = 'abandoned'
    FROM stalled
    WHERE reconciliation.province = stalled.province AND reconciliation.reconciliation_id = stalled.reconciliation_id
)

DELETE FROM registry.reconciliation_lines AS line
USING stalled
WHERE line.province = stalled.province AND line.reconciliation_id = stalled.reconciliation_id;

-- name: find
-- One reconciliation.
SELECT *
FROM registry.reconciliations
WHERE province = $1 AND reconciliation_id = $2;

-- name: list_by_institution
-- A page of an institution's reconciliations, in every province, newest first.
SELECT *
FROM registry.reconciliations
WHERE institution_id = $1 AND reconciliation_id < $2
ORDER BY reconciliation_id DESC
LIMIT $3;

-- name: differences
-- A page of what differs, after a request id.
SELECT
    request_id, kind, our_movement_id, our_account_fen, our_mutual_aid_fen, their_account_fen, their_mutual_aid_fen
FROM registry.reconciliation_differences
WHERE province = $1 AND reconciliation_id = $2 AND request_id > $3
ORDER BY request_id
LIMIT $4;
