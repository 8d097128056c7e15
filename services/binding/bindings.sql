-- Bindings and kinship links. Nothing is ever deleted: an end is a date.

-- name: standing
-- Every binding of these people, on either side, that is not over on a day.
SELECT
    province, binding_id, payer_id, beneficiary_province, beneficiary_id, relation, valid_from, valid_until,
    annual_limit_fen, wallet, auto_accept, bound_at, ended_at, end_cause
FROM registry.bindings
WHERE
    (
        (province = $1 AND payer_id = $2)
        OR (beneficiary_province = $3 AND beneficiary_id = $4)
    )
    AND (valid_until IS NULL OR valid_until > $5);

-- name: lock_standing
-- Every binding of one person, on either side, that is to end later than today: in one order, to be ended.
SELECT
    province, binding_id, payer_id, beneficiary_province, beneficiary_id, relation, valid_from, valid_until,
    annual_limit_fen, wallet, auto_accept, bound_at, ended_at, end_cause
FROM registry.bindings
WHERE
    (
        (province = $1 AND payer_id = $2)
        OR (beneficiary_province = $1 AND beneficiary_id = $2)
    )
    AND (valid_until IS NULL OR valid_until > greatest(valid_from, $3))
ORDER BY province, binding_id
FOR NO KEY UPDATE;

-- name: add
-- A new binding.
INSERT INTO registry.bindings (
    province, binding_id, payer_id, beneficiary_province, beneficiary_id, relation, valid_from, valid_until,
    annual_limit_fen, wallet, auto_accept, bound_at, bound_by
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: lock
-- One binding, to be ended.
SELECT
    province, binding_id, payer_id, beneficiary_province, beneficiary_id, relation, valid_from, valid_until,
    annual_limit_fen, wallet, auto_accept, bound_at, ended_at, end_cause
FROM registry.bindings
WHERE province = $1 AND binding_id = $2
FOR NO KEY UPDATE;

-- name: end
-- An end on a date, who asked for it and why.
UPDATE registry.bindings
SET valid_until = $3, ended_at = $4, ended_by = $5, end_cause = $6
WHERE province = $1 AND binding_id = $2;

-- name: list_by_payer
-- A page of a payer's bindings wherever they have been insured, in the order in which they were made.
SELECT
    province, binding_id, payer_id, beneficiary_province, beneficiary_id, relation, valid_from, valid_until,
    annual_limit_fen, wallet, auto_accept, bound_at, ended_at, end_cause
FROM registry.bindings
WHERE
    payer_id = $1
    AND province IN (SELECT person.province FROM registry.persons AS person WHERE person.person_id = $1)
    AND binding_id > $2
ORDER BY binding_id
LIMIT $3;

-- name: list_by_beneficiary
-- A page of a beneficiary's bindings wherever they have been insured, in the order in which they were made.
SELECT
    province, binding_id, payer_id, beneficiary_province, beneficiary_id, relation, valid_from, valid_until,
    annual_limit_fen, wallet, auto_accept, bound_at, ended_at, end_cause
FROM registry.bindings
WHERE
    beneficiary_id = $1
    AND beneficiary_province IN (SELECT person.province FROM registry.persons AS person WHERE person.person_id = $1)
    AND binding_id > $2
ORDER BY binding_id
LIMIT $3;

-- name: of_beneficiary
-- A beneficiary's bindings that are not over before a day, and the one that was over last, with any payer or with one.
SELECT
    province, binding_id, payer_id, beneficiary_province, beneficiary_id, relation, valid_from, valid_until,
    annual_limit_fen, wallet, auto_accept, bound_at, ended_at, end_cause
FROM registry.bindings
WHERE
    beneficiary_province = $1 AND beneficiary_id = $2
    AND (valid_until IS NULL OR valid_until > greatest($3, valid_from) OR valid_until = $3)
UNION ALL
(
    SELECT
        province, binding_id, payer_id, beneficiary_province, beneficiary_id, relation, valid_from, valid_until,
        annual_limit_fen, wallet, auto_accept, bound_at, ended_at, end_cause
    FROM registry.bindings
    WHERE
        beneficiary_province = $1 AND beneficiary_id = $2 AND valid_until < $3
        AND ($4::text IS NULL OR payer_id = $4)
    ORDER BY valid_until DESC, binding_id DESC
    LIMIT 1
);

-- name: holders
-- Everybody who may show a person's code.
SELECT holder_id
FROM registry.kinship_links
WHERE province = $1 AND shown_id = $2 AND ended_at IS NULL;

-- name: add_link
-- A kinship link; the same one again changes nothing.
INSERT INTO registry.kinship_links (province, kinship_link_id, holder_id, shown_id, linked_at, linked_by)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (province, shown_id, holder_id) WHERE ended_at IS NULL DO NOTHING;

-- name: standing_link
-- The standing link between two people.
SELECT province, kinship_link_id, holder_id, shown_id, linked_at
FROM registry.kinship_links
WHERE province = $1 AND shown_id = $2 AND holder_id = $3 AND ended_at IS NULL;

-- name: link
-- One standing link.
SELECT province, kinship_link_id, holder_id, shown_id, linked_at
FROM registry.kinship_links
WHERE province = $1 AND kinship_link_id = $2 AND ended_at IS NULL
FOR NO KEY UPDATE;

-- name: end_link
-- The link is over.
UPDATE registry.kinship_links
SET ended_at = $3
WHERE province = $1 AND kinship_link_id = $2;

-- name: list_links_by_holder
-- A page of the standing links by which a person shows others' codes.
SELECT province, kinship_link_id, holder_id, shown_id, linked_at
FROM registry.kinship_links
WHERE ended_at IS NULL AND holder_id = $1 AND kinship_link_id > $2
ORDER BY kinship_link_id
LIMIT $3;

-- name: list_links_by_shown
-- A page of the standing links by which others show a person's code.
SELECT province, kinship_link_id, holder_id, shown_id, linked_at
FROM registry.kinship_links
WHERE ended_at IS NULL AND shown_id = $1 AND kinship_link_id > $2
ORDER BY kinship_link_id
LIMIT $3;
