-- Events: what has been sealed and not been told yet, in the order of the seals.

-- name: provinces
-- Where a seal has not been told: from one province to the next by the index, for there are seals by the million.
WITH RECURSIVE province AS (
    (SELECT seal.province FROM ledger.seals AS seal ORDER BY seal.province LIMIT 1)
    UNION ALL
    SELECT (
        SELECT seal.province
        FROM ledger.seals AS seal
        WHERE seal.province > province.province
        ORDER BY seal.province
        LIMIT 1
    )
    FROM province
    WHERE province.province IS NOT NULL
)

SELECT province.province
FROM province
LEFT JOIN ledger.relayed AS told ON told.province = province.province
WHERE
    (SELECT max(seal.seal_no) FROM ledger.seals AS seal WHERE seal.province = province.province)
    > coalesce(told.seal_no, 0)
ORDER BY province.province;

-- name: next_seal
-- The first seal of a province that has not been told.
SELECT seal.seal_no, seal.ids, seal.hash
FROM ledger.seals AS seal
WHERE
    seal.province = $1
    AND seal.seal_no > coalesce((SELECT told.seal_no FROM ledger.relayed AS told WHERE told.province = $1), 0)
ORDER BY seal.seal_no
LIMIT 1;

-- name: entries
-- What was moved under these ids, in their order.
SELECT
    entry.province, entry.movement_id, entry.person_id, entry.kind, entry.institution_id, entry.request_id, entry.binding_id,
    entry.current_year_fen, entry.prior_years_fen, entry.wallet_fen, entry.original_id,
    -- A transfer that is undone may have come from another province.
    coalesce(
        CASE
            WHEN entry.kind = 'transfer_reversal'
                THEN (SELECT transfer.province FROM ledger.transfers AS transfer WHERE transfer.transfer_id = entry.original_id)
        END,
        entry.province
    ) AS original_province,
    entry.insured_region, entry.care_region, entry.moved_at
FROM unnest($2::uuid[]) WITH ORDINALITY AS sealed (id, place)
INNER JOIN ledger.entries AS entry
    ON entry.province = $1 AND entry.movement_id = sealed.id
ORDER BY sealed.place, entry.person_id;

-- name: told
-- The events of a province have been published up to this seal.
INSERT INTO ledger.relayed (province, seal_no)
VALUES ($1, $2)
ON CONFLICT (province) DO UPDATE SET seal_no = excluded.seal_no;

-- name: has_notices
-- Whether something became of bindings that has not been told.
SELECT EXISTS (SELECT FROM registry.notices);

-- name: take_notices
-- What became of bindings, the earliest first; gone once the transaction is committed.
DELETE FROM registry.notices
WHERE (province, notice_no) IN (
    SELECT province, notice_no FROM registry.notices ORDER BY notice_no LIMIT $1
)
RETURNING
    province, notice_no, event, at, binding_id, payer_id, beneficiary_province, beneficiary_id, valid_from, valid_until, cause;
