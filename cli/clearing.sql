-- Clearing: a day of every province, closed or not yet.

-- name: closed
-- Which provinces have closed the day.
SELECT province, closed_at
FROM ledger.clearings
WHERE day = $1
ORDER BY province;

-- name: closed_lines
-- What the day comes to where it is closed.
SELECT province, insured_region, institution_id, care_region, settlements, settled_fen, returned_fen
FROM ledger.clearing_lines
WHERE day = $1
ORDER BY insured_region, institution_id, care_region;

-- name: open_lines
-- What it comes to so far where it is not, between the ids of its first instant and of the next day's.
SELECT
    entry.province,
    entry.insured_region,
    entry.institution_id,
    entry.care_region,
    count(DISTINCT entry.movement_id) FILTER (WHERE entry.kind = 'settlement') AS settlements,
    coalesce(sum(entry.contra_fen) FILTER (WHERE entry.kind = 'settlement'), 0)::bigint AS settled_fen,
    coalesce(-sum(entry.contra_fen) FILTER (WHERE entry.kind <> 'settlement'), 0)::bigint AS returned_fen
FROM ledger.entries AS entry
WHERE
    entry.movement_id >= $1::uuid
    AND entry.movement_id < $2::uuid
    AND entry.contra = 'payable'
    AND entry.province <> ALL($3::smallint[])
GROUP BY entry.province, entry.insured_region, entry.institution_id, entry.care_region
ORDER BY entry.insured_region, entry.institution_id, entry.care_region;
