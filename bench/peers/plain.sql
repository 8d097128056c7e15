-- One settlement, a statement a step. Parameters are named, so that each driver writes them in its own way.

-- name: authority
-- As a worker's batch: nobody's authority to pay changes while this transaction lasts.
SELECT
    pg_advisory_xact_lock_shared(:authority, :every_province),
    pg_advisory_xact_lock_shared(:authority, :province);

-- name: stored
-- What was decided under the request's name.
SELECT
    decision.operation,
    CAST(decision.request AS text) AS request,
    CAST(decision.answer AS text) AS answer,
    CASE WHEN decision.moved THEN decision.decision_id END AS movement_id,
    decision.decided_at,
    EXISTS (
        SELECT FROM ledger.cancellations AS cancellation
        WHERE
            cancellation.province = name.province
            AND cancellation.institution_id = name.institution_id
            AND cancellation.request_id = name.request_id
    ) AS cancelled
FROM ledger.names AS name
INNER JOIN ledger.decisions AS decision
    ON decision.province = name.province AND decision.decision_id = name.decision_id
WHERE
    name.province = :province
    AND name.institution_id = :institution_id
    AND name.request_id = :request_id;

-- name: institution
-- Who sends the request; and the policies' epoch, so that they are read again only when one was put.
SELECT institution.kind, institution.status, institution.amqp_user, policies.epoch
FROM (SELECT CAST(coalesce(sum(epoch), 0) AS bigint) AS epoch FROM registry.settlement_policy_epochs) AS policies
LEFT JOIN registry.settlement_institutions AS institution ON institution.institution_id = :institution_id;

-- name: policies
-- Every policy version that operators have put.
SELECT code, version, CAST(policy AS text) AS policy
FROM registry.settlement_policies;

-- name: patient
-- How the patient is insured.
SELECT
    patient.region_code,
    patient.insurance,
    patient.status,
    patient.account_frozen,
    EXISTS (
        SELECT FROM registry.settlement_kinship_links AS link
        WHERE link.province = patient.province AND link.shown_id = patient.person_id
    ) AS kinship_linked,
    EXISTS (
        SELECT FROM ledger.transfers AS coming
        WHERE
            coming.to_province = patient.province
            AND coming.to_person_id = patient.person_id
            AND coming.state IN ('pending', 'accepted')
    ) AS awaiting
FROM registry.settlement_enrolments AS patient
WHERE patient.province = :province AND patient.person_id = :person_id;

-- name: bindings
-- The patient's bindings of today with their payers, those that ended by themselves today among them.
SELECT
    binding.binding_id,
    binding.province AS payer_province,
    binding.payer_id,
    binding.bound_at,
    binding.annual_limit_fen,
    binding.closed_cause,
    payer.region_code,
    payer.insurance,
    payer.status,
    payer.account_frozen
FROM registry.settlement_bindings AS binding
LEFT JOIN registry.settlement_enrolments AS payer
    ON payer.province = binding.province AND payer.person_id = binding.payer_id
WHERE
    binding.beneficiary_province = :province
    AND binding.beneficiary_id = :person_id
    AND binding.valid_from <= :today
    AND (
        binding.valid_until IS NULL
        OR binding.valid_until > :today
        OR (binding.valid_until = :today AND binding.closed_cause IS NOT NULL)
    );

-- name: lock_accounts
-- Everybody who may pay, locked in one order whoever asks.
SELECT person_id, current_year_fen, prior_years_fen, wallet_fen, balances_year
FROM ledger.accounts
WHERE province = :province AND person_id = ANY(:people)
ORDER BY province, person_id
FOR NO KEY UPDATE;

-- name: used_this_year
-- What a binding with a yearly limit has used, since a movement id made of the year's first instant.
SELECT CAST(coalesce(sum(contra_fen), 0) AS bigint) AS used_fen
FROM ledger.entries
WHERE
    province = :province
    AND person_id = :payer_id
    AND binding_id = :binding_id
    AND movement_id >= :since
    AND coalesce(original_id, movement_id) >= :since;

-- name: take
-- A balance after its entry.
UPDATE ledger.accounts
SET
    current_year_fen = current_year_fen + :current_year_fen,
    prior_years_fen = prior_years_fen + :prior_years_fen,
    wallet_fen = wallet_fen + :wallet_fen
WHERE province = :province AND person_id = :person_id;

-- name: enter
-- What the settlement takes from one person.
INSERT INTO ledger.entries (
    province, movement_id, person_id, kind, institution_id, request_id, binding_id,
    current_year_fen, prior_years_fen, wallet_fen, contra, contra_fen, insured_region, care_region, moved_at
)
VALUES (
    :province, :decision_id, :person_id, :kind, :institution_id, :request_id, :binding_id,
    :current_year_fen, :prior_years_fen, :wallet_fen, :contra, :contra_fen, :insured_region, :care_region, :now
);

-- name: name
-- The request's name is used up.
INSERT INTO ledger.names (province, institution_id, request_id, decision_id)
VALUES (:province, :institution_id, :request_id, :decision_id);

-- name: decide
-- The decision with the request, the answer, and how it came about.
INSERT INTO ledger.decisions (
    province, decision_id, institution_id, request_id, operation, outcome, reason, moved, request, record, answer, decided_at
)
VALUES (
    :province, :decision_id, :institution_id, :request_id, :operation, :outcome, :reason, :moved,
    CAST(:request AS json), CAST(:record AS json), CAST(:answer AS json), :now
);

-- name: page
-- It is to be sealed.
INSERT INTO ledger.pages (province, ids)
VALUES (:province, :ids);
