-- Decisions, to be explained: views only.

-- name: find
-- A decision with what is kept of how it came about.
SELECT
    province, decision_id, institution_id, request_id, operation, outcome, reason, subject_id, request, record, answer, decided_at,
    cancelled_by
FROM ledger.binding_decisions
WHERE province = $1 AND decision_id = $2;

-- name: moved
-- What a decision moved.
SELECT
    movement_id, person_id, kind, request_id, binding_id, current_year_fen, prior_years_fen, wallet_fen, moved_at
FROM ledger.binding_movements
WHERE province = $1 AND movement_id = $2
ORDER BY binding_id NULLS FIRST;

-- name: later
-- What was given back of it, or taken again: found along the movements of the people whom it moved.
SELECT
    later.movement_id, later.person_id, later.kind, later.request_id, later.binding_id, later.current_year_fen,
    later.prior_years_fen, later.wallet_fen, later.moved_at
FROM ledger.binding_movements AS first
INNER JOIN ledger.binding_movements AS later
    ON later.province = first.province
    AND later.person_id = first.person_id
    AND later.movement_id > first.movement_id
    AND later.original_id = first.movement_id
WHERE first.province = $1 AND first.movement_id = $2
ORDER BY later.movement_id, later.binding_id NULLS FIRST;
