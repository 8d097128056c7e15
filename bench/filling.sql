-- A population put into a database, some thousand people at a time. Whatever is drawn is a function of a person's number and the
-- seed, so that every statement by itself knows what the others have written. $1 is the population's name, $2 and $3 the first and
-- the last number, $4 the province, $5 the seed where something is drawn.

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

-- name: drawing
-- What is drawn for a number, as this session's own functions; simple enough for PostgreSQL to put them into the statements.
CREATE FUNCTION pg_temp.person(name text, number bigint) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$ SELECT name || '-' || lpad(number::text, 8, '0') $$;

CREATE FUNCTION pg_temp.drawn(number bigint, seed bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE
AS $$ SELECT hashint8extended(number, seed) & 9223372036854775807 $$;

-- A time-ordered UUID: shared/domain/ids.py. 60 of the bits set in front of a draw make its hexadecimal digits sixteen.
CREATE FUNCTION pg_temp.id_at(moment timestamptz, number bigint, seed bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE
AS $$
SELECT (
    left(replace(ledger.earliest_id(moment)::text, '-', ''), 12)
    || '7' || right(to_hex(pg_temp.drawn(number, seed) | 4611686018427387904), 3)
    || '8' || right(to_hex(pg_temp.drawn(number, ~seed) | 4611686018427387904), 15)
)::uuid
$$;

CREATE FUNCTION pg_temp.credited_fen(number bigint, seed bigint, year bigint, least_fen bigint, most_fen bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE
AS $$ SELECT least_fen + pg_temp.drawn(number, seed * 10000 + year) % (most_fen - least_fen + 1) $$;

-- Whether this year's credit is of earlier years' money.
CREATE FUNCTION pg_temp.is_of_prior_years(number bigint, seed bigint) RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$ SELECT pg_temp.drawn(number, seed) % 2 = 0 $$;

-- name: month
-- The next month of the books gets its partitions.
SELECT ledger.prepare_month($1::date);

-- name: indexes
-- The keys and indexes of what is filled, each with what takes it away and what makes it again.
SELECT
    found.table_name,
    found.takes_away,
    found.makes_again
FROM (
    SELECT
        conrelid::regclass::text AS table_name,
        format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS takes_away,
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS makes_again
    FROM pg_constraint
    WHERE contype IN ('p', 'u') AND conparentid = 0
    UNION ALL
    SELECT
        indrelid::regclass::text,
        format('DROP INDEX %s', indexrelid::regclass),
        replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ')
    FROM pg_index
    WHERE
        NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
        AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid)
) AS found
WHERE found.table_name = ANY($1::text[])
ORDER BY found.makes_again;

-- name: persons
-- What the binding service seals is never read by a worker, but takes as much room.
INSERT INTO registry.persons (
    province, person_id, region_code, insurance, status,
    name_sealed, id_number_sealed, id_number_index, registered_at, changed_at
)
SELECT
    $4::smallint,
    person.id,
    $5,
    CASE WHEN number < $7::bigint THEN 'employee' ELSE 'resident' END,
    'active',
    sha384(convert_to('name ' || person.id, 'UTF8')),
    sha384(convert_to('number ' || person.id, 'UTF8')),
    sha256(convert_to(person.id, 'UTF8')),
    $6::timestamptz,
    $6::timestamptz
FROM generate_series($2::bigint, $3::bigint) AS number
CROSS JOIN LATERAL (SELECT pg_temp.person($1, number) AS id) AS person;

-- name: couples
-- Two employees who may pay for each other.
INSERT INTO registry.bindings (
    province, binding_id, payer_id, beneficiary_province, beneficiary_id, relation,
    valid_from, wallet, auto_accept, bound_at, bound_by
)
SELECT
    $4::smallint,
    pg_temp.id_at(bound.at, number, $5::bigint),
    pg_temp.person($1, number),
    $4::smallint,
    pg_temp.person($1, number # 1),
    'spouse',
    (bound.at AT TIME ZONE 'UTC')::date,
    false,
    false,
    bound.at,
    pg_temp.person($1, number)
FROM generate_series($2::bigint, $3::bigint) AS number
CROSS JOIN LATERAL (
    SELECT $6::timestamptz + pg_temp.drawn(number, $5::bigint) % $7::bigint * interval '1 second' AS at
) AS bound;

-- name: relatives
-- The other relatives of each family, bound to each of its employees; population.py says who is in which family.
INSERT INTO registry.bindings (
    province, binding_id, payer_id, beneficiary_province, beneficiary_id, relation,
    valid_from, wallet, auto_accept, bound_at, bound_by
)
SELECT
    $4::smallint,
    pg_temp.id_at(bound.at, $8::bigint + number, $5::bigint + payer.place),
    payer.id,
    $4::smallint,
    pg_temp.person($1, $8::bigint + number),
    'mother',
    (bound.at AT TIME ZONE 'UTC')::date,
    false,
    false,
    bound.at,
    payer.id
FROM generate_series($2::bigint, $3::bigint) AS number
CROSS JOIN LATERAL (
    SELECT number / cardinality($10::int[]) AS lot, ($10::int[])[number % cardinality($10::int[]) + 1] AS place
) AS family
CROSS JOIN LATERAL (
    SELECT
        place,
        pg_temp.person($1, $9::bigint * (family.lot * $11::bigint + (family.place + family.lot) % $11::bigint) + place) AS id
    FROM generate_series(0, $9::int - 1) AS place
) AS payer
CROSS JOIN LATERAL (
    SELECT $6::timestamptz + pg_temp.drawn(number, $5::bigint + payer.place) % $7::bigint * interval '1 second' AS at
) AS bound;

-- name: accounts
-- What the credits and turns of the years below come to; in no order, as people join, so that a family's do not lie side by side.
INSERT INTO ledger.accounts (province, person_id, current_year_fen, prior_years_fen, balances_year)
SELECT
    $4::smallint,
    pg_temp.person($1, number),
    CASE WHEN is_of_prior_years THEN 0 ELSE this_year_fen END,
    CASE WHEN is_of_prior_years THEN this_year_fen ELSE 0 END + (
        SELECT coalesce(sum(pg_temp.credited_fen(number, $5::bigint, earlier, $8::bigint, $9::bigint)), 0)
        FROM generate_series($6::bigint - $7::bigint, $6::bigint - 1) AS earlier
    ),
    $6::bigint
FROM (
    SELECT
        number,
        pg_temp.is_of_prior_years(number, $5::bigint) AS is_of_prior_years,
        pg_temp.credited_fen(number, $5::bigint, $6::bigint, $8::bigint, $9::bigint) AS this_year_fen
    FROM generate_series($2::bigint, $3::bigint) AS number
    ORDER BY pg_temp.drawn(number, $5::bigint)
) AS drawn;

-- name: credits
-- A year's credits, those of this year ($11) partly of earlier years' money: entries, the decisions behind them under their names,
-- and the pages that tell which they are.
WITH credit AS MATERIALIZED (
    SELECT
        credited.number,
        credited.at,
        pg_temp.id_at(credited.at, credited.number, $5::bigint * 10000 + $6::bigint) AS id,
        pg_temp.person($1, credited.number) AS person_id,
        pg_temp.person($1, credited.number) || '-' || $6::bigint AS request_id,
        pg_temp.credited_fen(credited.number, $5::bigint, $6::bigint, $9::bigint, $10::bigint) AS amount_fen,
        $6::bigint = $11::bigint AND pg_temp.is_of_prior_years(credited.number, $5::bigint) AS is_of_prior_years
    FROM (
        SELECT number, $7::timestamptz + number * $8::interval AS at
        FROM generate_series($2::bigint, $3::bigint) AS number
    ) AS credited
),

entered AS (
    INSERT INTO ledger.entries (
        province, movement_id, person_id, kind, institution_id, request_id, current_year_fen, prior_years_fen, wallet_fen,
        contra, contra_fen, insured_region, moved_at
    )
    SELECT
        $4::smallint, id, person_id, 'credit', $12::text, request_id,
        CASE WHEN is_of_prior_years THEN 0 ELSE amount_fen END,
        CASE WHEN is_of_prior_years THEN amount_fen ELSE 0 END,
        0, 'contribution', -amount_fen, $13::text, at
    FROM credit
),

decided AS (
    INSERT INTO ledger.decisions (
        province, decision_id, institution_id, request_id, operation, outcome, moved, request, record, answer, decided_at
    )
    SELECT
        $4::smallint, id, $12::text, request_id, 'credit', 'credited', true,
        jsonb_build_object(
            'request_id', request_id,
            'institution_id', $12::text,
            'insured_region', $13::text,
            'occurred_at', at,
            'person_id', person_id,
            'fund', CASE WHEN is_of_prior_years THEN 'prior_years' ELSE 'current_year' END,
            'amount_fen', amount_fen
        ),
        jsonb_build_object('policy', NULL, 'locked', jsonb_build_array(person_id), 'considered', '[]'::jsonb),
        jsonb_build_object(
            'operation', 'credit',
            'request_id', request_id,
            'institution_id', $12::text,
            'outcome', 'credited',
            'amount_fen', amount_fen,
            'decided_at', at
        ),
        at
    FROM credit
),

named AS (
    INSERT INTO ledger.names (province, institution_id, request_id, decision_id)
    SELECT $4::smallint, $12::text, request_id, id
    FROM credit
)

INSERT INTO ledger.pages (province, ids)
SELECT $4::smallint, array_agg(id ORDER BY number)
FROM credit
GROUP BY number / 1000
ORDER BY number / 1000;

-- name: turns
-- The turn of the year $6 in the books: what was credited in it is of an earlier year from now on.
WITH turn AS MATERIALIZED (
    SELECT
        turned.number,
        turned.at,
        pg_temp.id_at(turned.at, turned.number, $5::bigint * 10000 + $6::bigint) AS id,
        pg_temp.credited_fen(turned.number, $5::bigint, $6::bigint, $9::bigint, $10::bigint) AS amount_fen
    FROM (
        SELECT number, $7::timestamptz + number * $8::interval AS at
        FROM generate_series($2::bigint, $3::bigint) AS number
    ) AS turned
),

entered AS (
    INSERT INTO ledger.entries (
        province, movement_id, person_id, kind, current_year_fen, prior_years_fen, wallet_fen, contra, contra_fen,
        insured_region, moved_at
    )
    SELECT $4::smallint, id, pg_temp.person($1, number), 'rollover', -amount_fen, amount_fen, 0, 'self', 0, $11::text, at
    FROM turn
)

INSERT INTO ledger.pages (province, ids)
SELECT $4::smallint, array_agg(id ORDER BY number)
FROM turn
GROUP BY number / 1000
ORDER BY number / 1000;

-- name: tables
-- Every table of the ledger and the registry, the largest first.
SELECT oid::regclass::text AS table_name
FROM pg_class
WHERE relkind = 'r' AND relnamespace IN ('ledger'::regnamespace, 'registry'::regnamespace)
ORDER BY pg_relation_size(oid) DESC;

-- name: size_bytes
-- The room that the database takes.
SELECT pg_database_size(current_database());

-- name: log_segments
-- So many segments of the log, filled up with nothing: the next checkpoint finds them to be written over, as on a server that has been
-- at work. A switch to the next does nothing where the last has not been written to.
SELECT
    pg_logical_emit_message(false, 'bench', ''),
    pg_switch_wal()
FROM generate_series(1, $1::int);

-- name: checkpoint
-- What was filled in is on the disk before anything is measured.
CHECKPOINT;
