-- What a person paid, had paid for them, and paid for others.

-- name: page
-- A person's payments after a place, newest first, wherever they are or were insured. Each side goes along the entries of one
-- person by their index and stops early: one entry more than lines are wanted, since the first may lie before the place.
WITH lines AS (
    SELECT
        entry.province, entry.movement_id, part.line, entry.moved_at, entry.kind, 'self' AS role,
        NULL::text AS other_person_id, part.fund, part.amount_fen, entry.institution_id
    FROM registry.persons AS person
    CROSS JOIN LATERAL (
        SELECT own.province, own.movement_id, own.moved_at, own.kind, own.institution_id, own.account_fen, own.wallet_fen
        FROM ledger.binding_entries AS own
        WHERE
            own.province = person.province
            AND own.person_id = person.person_id
            AND own.binding_id IS NULL
            AND own.movement_id BETWEEN $3::uuid AND least($4::uuid, $5::uuid)
        ORDER BY own.movement_id DESC
        LIMIT $7::integer + 1
    ) AS entry
    CROSS JOIN LATERAL (
        VALUES (0, 'own', abs(entry.account_fen)), (1, 'wallet', abs(entry.wallet_fen))
    ) AS part (line, fund, amount_fen)
    WHERE
        person.person_id = $1::text
        AND ($2::text IS NULL OR $2::text = 'self')
        AND part.amount_fen > 0

    UNION ALL

    SELECT
        entry.province, entry.movement_id, 2 AS line, entry.moved_at, entry.kind, 'payer' AS role,
        binding.beneficiary_id AS other_person_id, 'mutual_aid' AS fund, abs(entry.account_fen) AS amount_fen,
        entry.institution_id
    FROM registry.persons AS person
    CROSS JOIN LATERAL (
        SELECT paid.province, paid.movement_id, paid.moved_at, paid.kind, paid.institution_id, paid.account_fen, paid.binding_id
        FROM ledger.binding_entries AS paid
        WHERE
            paid.province = person.province
            AND paid.person_id = person.person_id
            AND paid.binding_id IS NOT NULL
            AND paid.movement_id BETWEEN $3::uuid AND least($4::uuid, $5::uuid)
        ORDER BY paid.movement_id DESC
        LIMIT $7::integer + 1
    ) AS entry
    INNER JOIN registry.bindings AS binding
        ON entry.province = binding.province AND entry.binding_id = binding.binding_id
    WHERE
        person.person_id = $1::text
        AND ($2::text IS NULL OR $2::text = 'payer')

    UNION ALL

    SELECT
        entry.province, entry.movement_id, 2 AS line, entry.moved_at, entry.kind, 'beneficiary' AS role,
        binding.payer_id AS other_person_id, 'mutual_aid' AS fund, abs(entry.account_fen) AS amount_fen,
        entry.institution_id
    FROM registry.persons AS person
    INNER JOIN registry.bindings AS binding
        ON person.province = binding.beneficiary_province AND person.person_id = binding.beneficiary_id
    CROSS JOIN LATERAL (
        SELECT had.province, had.movement_id, had.moved_at, had.kind, had.institution_id, had.account_fen
        FROM ledger.binding_entries AS had
        WHERE
            had.province = binding.province
            AND had.person_id = binding.payer_id
            AND had.binding_id = binding.binding_id
            AND had.movement_id BETWEEN $3::uuid AND least($4::uuid, $5::uuid)
        ORDER BY had.movement_id DESC
        LIMIT $7::integer + 1
    ) AS entry
    WHERE
        person.person_id = $1::text
        AND ($2::text IS NULL OR $2::text = 'beneficiary')
),

wanted AS (
    SELECT *
    FROM lines
    WHERE movement_id < $5::uuid OR line > $6::integer
    ORDER BY movement_id DESC, line
    LIMIT $7::integer
)

SELECT
    province, movement_id, line, moved_at, kind, role, other_person_id, fund, amount_fen,
    (
        SELECT institution.kind
        FROM registry.institutions AS institution
        WHERE institution.institution_id = wanted.institution_id
    ) AS institution_kind
FROM wanted
ORDER BY movement_id DESC, line;
