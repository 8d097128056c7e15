-- Clearing: closing days.

-- name: provinces
-- Every province in which something was sealed, with the last day that was closed and the first id of its first seal.
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

SELECT
    province.province,
    (SELECT max(closed.day) FROM ledger.clearings AS closed WHERE closed.province = province.province) AS last_closed,
    first.id AS first_id
FROM province
CROSS JOIN LATERAL (
    SELECT sealed.id
    FROM ledger.seals AS seal
    CROSS JOIN LATERAL unnest(seal.ids) AS sealed (id)
    WHERE seal.province = province.province AND seal.seal_no = 1
    ORDER BY sealed.id
    LIMIT 1
) AS first
WHERE province.province IS NOT NULL;

-- name: close
-- Closes a day of a province, and writes what it comes to, between the ids of its first instant and of the next day's.
WITH closed AS (
    INSERT INTO ledger.clearings (province, day, closed_at)
    VALUES ($1, $2, $5)
    ON CONFLICT DO NOTHING
    RETURNING province, day
),

line AS (
    SELECT
        entry.insured_region,
        entry.institution_id,
        entry.care_region,
        count(DISTINCT entry.movement_id) FILTER (WHERE entry.kind = 'settlement') AS settlements,
        coalesce(sum(entry.contra_fen) FILTER (WHERE entry.kind = 'settlement'), 0) AS settled_fen,
        coalesce(-sum(entry.contra_fen) FILTER (WHERE entry.kind <> 'settlement'), 0) AS returned_fen
    FROM ledger.entries AS entry
    WHERE
        entry.province = $1
        AND entry.movement_id >= $3::uuid
        AND entry.movement_id < $4::uuid
        AND entry.contra = 'payable'
    GROUP BY entry.insured_region, entry.institution_id, entry.care_region
),

written AS (
    INSERT INTO ledger.clearing_lines (
        province, day, insured_region, institution_id, care_region, settlements, settled_fen, returned_fen
    )
    SELECT
        closed.province, closed.day, line.insured_region, line.institution_id, line.care_region, line.settlements,
        line.settled_fen, line.returned_fen
    FROM closed
    CROSS JOIN line
    RETURNING 1
)

SELECT (SELECT count(*) FROM closed) AS closed, (SELECT count(*) FROM written) AS lines;
