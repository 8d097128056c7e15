-- What a population needs besides what is copied.

-- name: anybody
-- Whether somebody is registered already.
SELECT EXISTS (SELECT FROM registry.persons);

-- name: institutions
-- The first is the agency that pays in, the others are hospitals.
INSERT INTO registry.institutions (institution_id, name, kind, region_code, status, registered_at, changed_at)
SELECT
    asked.institution_id,
    asked.institution_id,
    CASE WHEN asked.place = 1 THEN 'agency' ELSE 'hospital' END,
    $2,
    'active',
    $3::timestamptz,
    $3::timestamptz
FROM unnest($1::text[]) WITH ORDINALITY AS asked (institution_id, place);

-- name: credits_were_decided
-- The decision behind each credit, in the order in which they were made.
INSERT INTO ledger.decisions (
    province, decision_id, institution_id, request_id, operation, outcome, moved, request, record, answer, decided_at
)
SELECT
    entry.province,
    entry.movement_id,
    entry.institution_id,
    entry.request_id,
    'credit',
    'credited',
    true,
    jsonb_build_object(
        'request_id', entry.request_id,
        'institution_id', entry.institution_id,
        'insured_region', $1::text,
        'occurred_at', entry.moved_at,
        'person_id', entry.person_id,
        'fund', CASE WHEN entry.current_year_fen > 0 THEN 'current_year' ELSE 'prior_years' END,
        'amount_fen', -entry.contra_fen
    ),
    jsonb_build_object('policy', NULL, 'locked', jsonb_build_array(entry.person_id), 'considered', '[]'::jsonb),
    jsonb_build_object(
        'operation', 'credit',
        'request_id', entry.request_id,
        'institution_id', entry.institution_id,
        'outcome', 'credited',
        'amount_fen', -entry.contra_fen,
        'decided_at', entry.moved_at
    ),
    entry.moved_at
FROM ledger.entries AS entry
WHERE entry.kind = 'credit'
ORDER BY entry.moved_at;

-- name: decisions_have_names
-- The name under which each was decided.
INSERT INTO ledger.names (province, institution_id, request_id, decision_id)
SELECT province, institution_id, request_id, decision_id
FROM ledger.decisions;

-- name: everything_is_on_a_page
-- What is to be sealed, some hundred at a time.
INSERT INTO ledger.pages (province, ids)
SELECT province, array_agg(decision_id)
FROM (SELECT province, decision_id, row_number() OVER () / 500 AS page FROM ledger.decisions) AS numbered
GROUP BY province, page;

-- name: nothing_is_to_be_told
-- Nobody wants to hear of bindings that were copied.
DELETE FROM registry.notices;

-- name: vacuum
-- Nobody is to be vacuumed or counted for the first time while something is measured.
VACUUM ANALYZE;

-- name: checkpoint
-- What was copied is on the disk before anything is measured.
CHECKPOINT;
