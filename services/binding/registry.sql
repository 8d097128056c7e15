-- Persons, institutions, region policies; and what the HTTP door has answered.

-- name: person
-- A person where they are insured now.
SELECT province, person_id, region_code, insurance, status, account_frozen, name_sealed, id_number_sealed
FROM registry.persons
WHERE person_id = $1 AND moved_to IS NULL;

-- name: find_persons
-- Whose ID number this is, whichever key it is indexed with.
SELECT province, person_id, region_code, insurance, status, account_frozen, name_sealed, id_number_sealed
FROM registry.persons
WHERE province = $1 AND id_number_index = ANY($2::bytea[]) AND moved_to IS NULL
ORDER BY person_id
LIMIT 200;

-- name: share_sealing_keys
-- No other key becomes the active one until the transaction is over.
SELECT pg_advisory_xact_lock_shared(hashtextextended('registry.sealing_keys', 2));

-- name: sealing_key
-- The key that personal data is sealed with now.
SELECT key_id
FROM registry.sealing_keys
WHERE active;

-- name: lock_person_ids
-- One at a time about these people, known or not: who binds them, and what the feed says of them.
SELECT pg_advisory_xact_lock(named.key)
FROM (
    SELECT DISTINCT hashtextextended(person_id, 0) AS key
    FROM unnest($1::text[]) AS asked (person_id)
    ORDER BY key
) AS named;

-- name: enrolments
-- How these people are insured, as the settlement worker sees it.
SELECT person.province, person.person_id, person.region_code, person.insurance, person.status, person.account_frozen
FROM unnest($1::smallint[], $2::text[]) AS asked (province, person_id)
INNER JOIN registry.persons AS person
    ON person.province = asked.province AND person.person_id = asked.person_id AND person.moved_to IS NULL;

-- name: lock_persons
-- People where they are insured now, locked in one order, so that limits are counted by one at a time.
SELECT province, person_id, region_code, insurance, status, account_frozen, name_sealed, id_number_sealed
FROM registry.persons
WHERE person_id = ANY($1::text[]) AND moved_to IS NULL
ORDER BY province, person_id
FOR NO KEY UPDATE;

-- name: move_away
-- The person is insured in another province from now on; here nothing is left but history. A freeze goes with them.
UPDATE registry.persons
SET moved_to = $2, status = 'ended', changed_at = $3
WHERE person_id = $1 AND moved_to IS NULL AND left(region_code, 2) <> left($2, 2)
RETURNING province, account_frozen;

-- name: put_person
-- What the feed says of a person; a freeze is not the feed's affair and stays.
INSERT INTO registry.persons (
    province, person_id, region_code, insurance, status, name_sealed, id_number_sealed, id_number_index,
    account_frozen, registered_at, changed_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, coalesce($10, false), $9, $9)
ON CONFLICT (province, person_id) DO UPDATE SET
    region_code = excluded.region_code,
    insurance = excluded.insurance,
    status = excluded.status,
    name_sealed = excluded.name_sealed,
    id_number_sealed = excluded.id_number_sealed,
    id_number_index = excluded.id_number_index,
    account_frozen = coalesce($10, persons.account_frozen),
    moved_to = NULL,
    changed_at = excluded.changed_at;

-- name: freeze
-- Freezes or unfreezes a personal account.
UPDATE registry.persons
SET account_frozen = $2, changed_at = $3
WHERE person_id = $1 AND moved_to IS NULL
RETURNING province;

-- name: institution
-- One institution.
SELECT institution_id, name, kind, region_code, amqp_user, status, signing_keys
FROM registry.institutions
WHERE institution_id = $1;

-- name: lock_amqp_user
-- Of those who ask whether this user of the broker is free, one at a time.
SELECT pg_advisory_xact_lock(hashtextextended($1, 3));

-- name: institutions_of
-- For which institutions a user of the broker is registered.
SELECT institution_id
FROM registry.institutions
WHERE amqp_user = $1
ORDER BY institution_id;

-- name: put_institution
-- What the operator says of an institution; a name, a status or keys that are left out are as they were.
INSERT INTO registry.institutions AS institution (
    institution_id, name, kind, region_code, amqp_user, status, signing_keys, registered_at, changed_at
)
SELECT
    said.institution_id, coalesce($2, known.name, said.institution_id), $3, $4, $5, coalesce($6, known.status, 'active'),
    coalesce($7::jsonb, known.signing_keys, '[]'), $8, $8
FROM (VALUES ($1::text)) AS said (institution_id)
LEFT JOIN registry.institutions AS known ON known.institution_id = said.institution_id
ON CONFLICT (institution_id) DO UPDATE SET
    name = coalesce($2, institution.name),
    kind = excluded.kind,
    region_code = excluded.region_code,
    amqp_user = excluded.amqp_user,
    status = coalesce($6, institution.status),
    signing_keys = coalesce($7::jsonb, institution.signing_keys),
    changed_at = excluded.changed_at
RETURNING institution_id, name, kind, region_code, amqp_user, status, signing_keys;

-- name: policies
-- Every policy version that bears on these provinces.
SELECT code, version, policy
FROM registry.region_policies
WHERE province = ANY($1::smallint[]);

-- name: next_policy_epoch
-- One put at a time in a province; workers see by the epoch that their policies are old.
INSERT INTO registry.policy_epochs (province, epoch)
VALUES ($1, 1)
ON CONFLICT (province) DO UPDATE SET epoch = policy_epochs.epoch + 1;

-- name: put_policy
-- A new version under a code.
INSERT INTO registry.region_policies (province, code, version, effective_from, policy, put_at, put_by)
SELECT $1, $2, coalesce(max(version), 0) + 1, $3, $4::jsonb, $5, $6
FROM registry.region_policies
WHERE province = $1 AND code = $2
RETURNING version;

-- name: record_act
-- What a clerk or an operator was let through for.
INSERT INTO registry.acts (at, subject, role, action, person_ids, thing_id)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: acts_about
-- What clerks and operators were let through for about a person, newest first, from before a given act. Found by person first:
-- along the acts in their order it would read everybody's to find one person's few.
WITH about AS MATERIALIZED (
    SELECT act_id, at, role, action
    FROM registry.acts
    WHERE person_ids @> ARRAY[$1::text] AND act_id < $2
)

SELECT act_id, at, role, action
FROM about
ORDER BY act_id DESC
LIMIT $3;

-- name: lock_idempotency_key
-- One request at a time under a key.
SELECT pg_advisory_xact_lock(hashtextextended($1 || chr(31) || $2, 1));

-- name: answered
-- What was answered under a key.
SELECT content, status, body
FROM registry.idempotency_keys
WHERE subject = $1 AND key = $2;

-- name: remember_answer
-- Keeps an answer, and forgets those older than the given moment; unless somebody else is at it, whom nobody waits for: a transaction may
-- have a province's authority by now, or wait for it.
WITH forgotten AS (
    DELETE FROM registry.idempotency_keys
    WHERE kept_at < $7 AND (SELECT pg_try_advisory_xact_lock(hashtextextended('idempotency_keys', 2)))
)

INSERT INTO registry.idempotency_keys (subject, key, content, status, body, kept_at)
VALUES ($1, $2, $3, $4, $5::jsonb, $6);
