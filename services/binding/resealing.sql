-- The keys that personal data is sealed with, and people sealed anew. Run as gongji_keys.

-- name: lock_keys
-- Which key is active changes when nobody is sealing.
SELECT pg_advisory_xact_lock(hashtextextended('registry.sealing_keys', 2));

-- name: keys
-- What is known of every key that was ever used.
SELECT key_id, active, activated_at, retired_at
FROM registry.sealing_keys
ORDER BY key_id;

-- name: sealed_people
-- How many people have something sealed with each key. NULL: with none that can be told.
SELECT sealed_with.key_id, count(*) AS people
FROM registry.persons AS person
CROSS JOIN LATERAL (
    SELECT DISTINCT
        CASE
            WHEN substr(each.sealed, 1, 1) = '\x01' THEN 1
            WHEN substr(each.sealed, 1, 1) = '\x02' AND length(each.sealed) > 4
                THEN get_byte(each.sealed, 2) * 256 + get_byte(each.sealed, 3)
        END AS key_id
    FROM (VALUES (person.name_sealed), (person.id_number_sealed)) AS each (sealed)
) AS sealed_with
GROUP BY sealed_with.key_id;

-- name: deactivate
-- No key is active until the end of the transaction.
UPDATE registry.sealing_keys SET active = false WHERE active;

-- name: activate
-- A key that was not retired seals from now on.
INSERT INTO registry.sealing_keys (key_id, active, activated_at)
VALUES ($1, true, $2)
ON CONFLICT (key_id) DO UPDATE SET active = true, activated_at = excluded.activated_at
WHERE sealing_keys.retired_at IS NULL
RETURNING key_id;

-- name: retire
-- A key that is not active, and was not in the meantime, is never used again.
INSERT INTO registry.sealing_keys (key_id, active, retired_at)
VALUES ($1, false, $2)
ON CONFLICT (key_id) DO UPDATE SET retired_at = coalesce(sealing_keys.retired_at, excluded.retired_at)
WHERE NOT sealing_keys.active AND sealing_keys.activated_at IS NOT DISTINCT FROM $3
RETURNING key_id;

-- name: people
-- The next people, and what is sealed of them; nobody is locked.
SELECT province, person_id, name_sealed, id_number_sealed
FROM registry.persons
WHERE (province, person_id) > ($1::smallint, $2::text)
ORDER BY province, person_id
LIMIT $3;

-- name: lock_people
-- Those of these people whom nobody holds, locked. It waits for nobody, so nobody can wait for it in a circle.
SELECT person.province, person.person_id, person.name_sealed, person.id_number_sealed
FROM unnest($1::smallint[], $2::text[]) AS asked (province, person_id)
INNER JOIN registry.persons AS person ON person.province = asked.province AND person.person_id = asked.person_id
ORDER BY person.province, person.person_id
FOR NO KEY UPDATE OF person SKIP LOCKED;

-- name: reseal
-- The same names and ID numbers under another key.
UPDATE registry.persons AS person
SET
    name_sealed = anew.name_sealed,
    id_number_sealed = anew.id_number_sealed,
    id_number_index = anew.id_number_index
FROM unnest($1::smallint[], $2::text[], $3::bytea[], $4::bytea[], $5::bytea[])
    AS anew (province, person_id, name_sealed, id_number_sealed, id_number_index)
WHERE person.province = anew.province AND person.person_id = anew.person_id;
