-- Decisions: what has been said, by the name of the request.

-- name: decided
-- These decisions, in their order.
SELECT
    decision.operation,
    decision.request,
    decision.answer,
    CASE WHEN decision.moved THEN decision.decision_id END AS movement_id,
    decision.decided_at
FROM unnest($1::smallint[], $2::uuid[]) WITH ORDINALITY AS asked (province, decision_id, place)
INNER JOIN ledger.decisions AS decision
    ON decision.province = asked.province AND decision.decision_id = asked.decision_id
ORDER BY asked.place;

-- name: returned
-- What a refund gave back, in the parts of its original.
SELECT coalesce(record -> 'returned', '[]'::json)
FROM ledger.names AS name
INNER JOIN ledger.decisions AS decision
    ON decision.province = name.province AND decision.decision_id = name.decision_id
WHERE name.province = $1 AND name.institution_id = $2 AND name.request_id = $3;

-- name: stored
-- A decision with all that is kept of it.
SELECT institution_id, request_id, operation, request, record, answer, moved, decided_at
FROM ledger.decisions
WHERE province = $1 AND decision_id = $2;

-- name: sample
-- Some decisions of each province from an id on.
WITH RECURSIVE province AS (
    (SELECT name.province FROM ledger.names AS name ORDER BY name.province LIMIT 1)
    UNION ALL
    SELECT (
        SELECT name.province
        FROM ledger.names AS name
        WHERE name.province > province.province
        ORDER BY name.province
        LIMIT 1
    )
    FROM province
    WHERE province.province IS NOT NULL
)

SELECT province.province, decision.decision_id
FROM province
CROSS JOIN LATERAL (
    SELECT decision_id
    FROM ledger.decisions
    WHERE decisions.province = province.province AND decision_id >= $1
    ORDER BY decision_id
    LIMIT $2
) AS decision;

-- name: cancel
-- These requests are over for good.
INSERT INTO ledger.cancellations (province, institution_id, request_id, cancelled_by, cancelled_at)
SELECT cancelled.*, $5::timestamptz
FROM unnest($1::smallint[], $2::text[], $3::text[], $4::text[])
    AS cancelled (province, institution_id, request_id, cancelled_by)
ORDER BY cancelled.province, cancelled.institution_id, cancelled.request_id;
