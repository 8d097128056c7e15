-- What the ledger has of those who were answered.

-- name: decided
-- The answers that were decided under these names.
SELECT decision.request_id, decision.answer
FROM unnest($2::text[], $3::text[]) AS asked (institution_id, request_id)
INNER JOIN ledger.names AS name
    ON name.province = $1 AND name.institution_id = asked.institution_id AND name.request_id = asked.request_id
INNER JOIN ledger.decisions AS decision
    ON decision.province = name.province AND decision.decision_id = name.decision_id;
