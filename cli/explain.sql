-- What is told about one request.

-- name: by_id
-- A decision, which is named as what it moved.
SELECT
    decision.province, decision.decision_id, decision.institution_id, decision.request_id, decision.operation, decision.outcome,
    decision.reason, decision.request, decision.record, decision.answer, decision.decided_at, cancellation.cancelled_by
FROM ledger.decisions AS decision
LEFT JOIN ledger.cancellations AS cancellation
    ON cancellation.province = decision.province
    AND cancellation.institution_id = decision.institution_id
    AND cancellation.request_id = decision.request_id
WHERE decision.province = $1 AND decision.decision_id = $2;

-- name: id_of
-- The decision under a request's name.
SELECT decision_id
FROM ledger.names
WHERE province = $1 AND institution_id = $2 AND request_id = $3;

-- name: entries
-- What a request moved.
SELECT movement_id, person_id, binding_id, current_year_fen, prior_years_fen, wallet_fen, contra, contra_fen, moved_at
FROM ledger.entries
WHERE province = $1 AND movement_id = $2
ORDER BY binding_id NULLS FIRST;

-- name: later
-- What was given back of a movement, or taken again: found along the entries of the people whom it moved.
SELECT
    later.movement_id, later.kind, later.institution_id, later.request_id, later.person_id, later.binding_id,
    later.current_year_fen, later.prior_years_fen, later.wallet_fen, later.contra, later.contra_fen, later.moved_at
FROM ledger.entries AS entry
INNER JOIN ledger.entries AS later
    ON later.province = entry.province
    AND later.person_id = entry.person_id
    AND later.movement_id > entry.movement_id
    AND later.original_id = entry.movement_id
WHERE entry.province = $1 AND entry.movement_id = $2
ORDER BY later.movement_id, later.binding_id NULLS FIRST;
