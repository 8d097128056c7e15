-- What is known of requests before anything is locked. Of the registry views only: no name and no ID number.

-- name: known
-- For each request which decision is stored under its name, if any, and who sends it; and whomever it names, with today's bindings,
-- those that ended by themselves today among them, and their payers' enrolment. One row a binding, one where there is none.
SELECT
    asked.place,
    name.decision_id,
    cancellation.request_id IS NOT NULL AS cancelled,
    institution.kind,
    institution.status AS institution_status,
    institution.amqp_user,
    institution.signing_keys,
    (SELECT coalesce(sum(epoch), 0)::bigint FROM registry.settlement_policy_epochs) AS policy_epoch,
    EXISTS (
        SELECT FROM registry.settlement_kinship_links AS link
        WHERE link.province = asked.person_province AND link.shown_id = asked.person_id
    ) AS kinship_linked,
    EXISTS (
        SELECT FROM ledger.transfers AS coming
        WHERE
            coming.to_province = asked.person_province
            AND coming.to_person_id = asked.person_id
            AND coming.state IN ('pending', 'accepted')
    ) AS awaiting,
    person.region_code,
    person.insurance,
    person.status,
    person.account_frozen,
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
FROM unnest($1::smallint[], $2::text[], $3::text[], $4::smallint[], $5::text[]) WITH ORDINALITY
    AS asked (province, institution_id, request_id, person_province, person_id, place)
LEFT JOIN ledger.names AS name
    ON name.province = asked.province
    AND name.institution_id = asked.institution_id
    AND name.request_id = asked.request_id
LEFT JOIN ledger.cancellations AS cancellation
    ON cancellation.province = asked.province
    AND cancellation.institution_id = asked.institution_id
    AND cancellation.request_id = asked.request_id
LEFT JOIN registry.settlement_institutions AS institution
    ON institution.institution_id = asked.institution_id
LEFT JOIN registry.settlement_enrolments AS person
    ON person.province = asked.person_province AND person.person_id = asked.person_id
LEFT JOIN registry.settlement_bindings AS binding
    ON binding.beneficiary_province = asked.person_province
    AND binding.beneficiary_id = asked.person_id
    AND binding.valid_from <= $6
    AND (
        binding.valid_until IS NULL
        OR binding.valid_until > $6
        OR (binding.valid_until = $6 AND binding.closed_cause IS NOT NULL)
    )
LEFT JOIN registry.settlement_enrolments AS payer
    ON payer.province = binding.province AND payer.person_id = binding.payer_id;

-- name: policies
-- Every policy version that operators have put.
SELECT code, version, policy FROM registry.settlement_policies;
