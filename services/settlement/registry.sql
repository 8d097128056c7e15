-- What the worker reads of the registry: views only, no name and no ID number.

-- name: people
-- The patients with today's bindings, those that ended by themselves today among them, and their payers' enrolment;
-- one row a binding, one without a binding.
SELECT
    asked.province,
    asked.person_id,
    patient.region_code,
    patient.insurance,
    patient.status,
    patient.account_frozen,
    EXISTS (
        SELECT FROM registry.settlement_kinship_links AS link
        WHERE link.province = asked.province AND link.shown_id = asked.person_id
    ) AS kinship_linked,
    EXISTS (
        SELECT FROM ledger.transfers AS coming
        WHERE
            coming.to_province = asked.province
            AND coming.to_person_id = asked.person_id
            AND coming.state IN ('pending', 'accepted')
    ) AS awaiting,
    binding.binding_id,
    binding.province AS payer_province,
    binding.payer_id,
    binding.bound_at,
    binding.annual_limit_fen,
    binding.wallet,
    binding.auto_accept,
    binding.closed_cause,
    payer.region_code AS payer_region_code,
    payer.insurance AS payer_insurance,
    payer.status AS payer_status,
    payer.account_frozen AS payer_account_frozen
FROM unnest($1::smallint[], $2::text[]) AS asked (province, person_id)
LEFT JOIN registry.settlement_enrolments AS patient
    ON patient.province = asked.province AND patient.person_id = asked.person_id
LEFT JOIN registry.settlement_bindings AS binding
    ON binding.beneficiary_province = asked.province
    AND binding.beneficiary_id = asked.person_id
    AND binding.valid_from <= $3
    AND (
        binding.valid_until IS NULL
        OR binding.valid_until > $3
        OR (binding.valid_until = $3 AND binding.closed_cause IS NOT NULL)
    )
LEFT JOIN registry.settlement_enrolments AS payer
    ON payer.province = binding.province AND payer.person_id = binding.payer_id;

-- name: policies
-- Every policy version that operators have put.
SELECT code, version, policy FROM registry.settlement_policies;
