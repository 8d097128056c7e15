-- Who was let through to whose affairs.

-- name: acts
-- What was done about a person, by a subject, or by anybody about anybody, since a moment; newest first.
SELECT at, subject, action, person_ids, thing_id
FROM registry.acts
WHERE
    ($1::text IS NULL OR person_ids @> ARRAY[$1::text])
    AND ($2::text IS NULL OR subject = $2)
    AND at >= $3
ORDER BY act_id DESC
LIMIT $4;
