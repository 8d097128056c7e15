-- What is told about one settlement.

-- name: by_movement
-- The decision that a movement belongs to.
SELECT
    decision.institution_id, decision.request_id, decision.operation, decision.outcome, decision.reason,
    decision.request, decision.record, decision.answer, decision.decided_at
FROM ledger.decisions AS decision
WHERE
    decision.province = $1
    AND (decision.institution_id, decision.request_id) = (
        SELECT entry.institution_id, entry.request_id
        FROM ledger.entries AS entry
        WHERE entry.province = $1 AND entry.movement_id = $2
        LIMIT 1
    );

-- name: by_request
-- The decision under a request's name.
SELECT
    decision.institution_id, decision.request_id, decision.operation, decision.outcome, decision.reason,
    decision.request, decision.record, decision.answer, decision.decided_at
FROM ledger.decisions AS decision
WHERE decision.province = $1 AND decision.institution_id = $2 AND decision.request_id = $3;

-- name: entries
-- What a request moved.
SELECT movement_id, person_id, binding_id, current_year_fen, prior_years_fen, wallet_fen, contra, contra_fen, moved_at
FROM ledger.entries
WHERE province = $1 AND movement_id = $2
ORDER BY binding_id NULLS FIRST;
