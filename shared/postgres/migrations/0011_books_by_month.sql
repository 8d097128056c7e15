-- Old and new are swapped within one transaction, while no service runs: a release that knows the new books is deployed with it.
-- squawk-ignore-file renaming-table, renaming-object, ban-drop-view

-- The books by month: entries and decisions lie in the partition of the Shanghai month in which their id was made, so that a
-- month can be vacuumed, dumped and moved to another disk by itself. The keys stay unique over all months: the id of an entry
-- or a decision begins with its time, and a request's name, which knows no time, has a table of its own.

-- A request's name stands for one decision, for good.
CREATE TABLE ledger.names (
    province smallint NOT NULL,
    institution_id text NOT NULL,
    request_id text NOT NULL,
    decision_id uuid NOT NULL
);

-- No time-ordered id of this moment or a later one is smaller: shared/domain/ids.py, earliest_id.
CREATE FUNCTION ledger.earliest_id(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

ALTER TABLE ledger.decisions RENAME TO old_decisions;
ALTER TABLE ledger.old_decisions RENAME CONSTRAINT one_decision_per_request TO old_decisions_pkey;
ALTER TABLE ledger.entries RENAME TO old_entries;
ALTER TABLE ledger.old_entries RENAME CONSTRAINT entries_pkey TO old_entries_pkey;
ALTER INDEX ledger.entries_by_person RENAME TO old_entries_by_person;
DROP VIEW ledger.binding_entries;
DROP VIEW ledger.binding_usage;

-- What moved bears the decision's id. `request` is the canonical content, `answer` what was sent, `record` what the rule saw.
CREATE TABLE ledger.decisions (
    province smallint NOT NULL,
    decision_id uuid NOT NULL,
    institution_id text NOT NULL,
    request_id text NOT NULL,
    operation text NOT NULL,
    outcome text NOT NULL,
    reason text,
    moved boolean NOT NULL,
    request jsonb NOT NULL,
    record jsonb NOT NULL,
    answer jsonb NOT NULL,
    decided_at timestamptz NOT NULL,
    CONSTRAINT decisions_pkey PRIMARY KEY (province, decision_id),
    CONSTRAINT blocked_is_a_tombstone CHECK (
        (operation = 'blocked') = (outcome = 'blocked') AND (operation <> 'blocked' OR NOT moved)
    ),
    CONSTRAINT declined_moves_nothing CHECK (outcome <> 'declined' OR NOT moved),
    CONSTRAINT only_refusals_have_a_reason CHECK ((outcome IN ('declined', 'partial')) = (reason IS NOT NULL)),
    CONSTRAINT outcome_is_stored CHECK (
        outcome IN (
            'settled', 'partial', 'declined', 'credited', 'transferred', 'pending', 'refunded', 'cancelled', 'blocked'
        )
    )
) PARTITION BY RANGE (decision_id);

-- Each entry names both sides. `insured_region` is where the account's holder was insured at the time, `care_region` where the
-- care was given: what clearing between regions adds up.
CREATE TABLE ledger.entries (
    province smallint NOT NULL,
    movement_id uuid NOT NULL,
    person_id text NOT NULL,
    kind text NOT NULL,
    institution_id text,
    request_id text,
    binding_id uuid,
    current_year_fen bigint NOT NULL,
    prior_years_fen bigint NOT NULL,
    wallet_fen bigint NOT NULL,
    contra text NOT NULL,
    contra_fen bigint NOT NULL,
    original_id uuid,
    insured_region text NOT NULL,
    care_region text,
    moved_at timestamptz NOT NULL,
    CONSTRAINT entries_pkey PRIMARY KEY (province, movement_id, person_id),
    CONSTRAINT a_request_has_its_name CHECK (
        (kind IN ('arrival', 'return', 'rollover')) = (institution_id IS NULL)
        AND (institution_id IS NULL) = (request_id IS NULL)
    ),
    CONSTRAINT arrival_only_fills_the_wallet CHECK (
        kind <> 'arrival'
        OR (contra = 'in_transit' AND current_year_fen = 0 AND prior_years_fen = 0 AND wallet_fen > 0)
    ),
    CONSTRAINT contra_is_known CHECK (contra IN ('payable', 'contribution', 'in_transit', 'self')),
    CONSTRAINT credit_only_gives CHECK (
        kind <> 'credit'
        OR (contra = 'contribution' AND contra_fen < 0 AND current_year_fen >= 0 AND prior_years_fen >= 0 AND wallet_fen = 0)
    ),
    CONSTRAINT credit_reversal_only_takes CHECK (
        kind <> 'credit_reversal'
        OR (contra = 'contribution' AND contra_fen > 0 AND current_year_fen <= 0 AND prior_years_fen <= 0 AND wallet_fen = 0)
    ),
    CONSTRAINT entry_conserves_money CHECK (current_year_fen + prior_years_fen + wallet_fen + contra_fen = 0),
    CONSTRAINT kind_is_known CHECK (
        kind IN (
            'settlement', 'credit', 'transfer', 'arrival', 'return', 'rollover',
            'refund', 'refund_reversal', 'credit_reversal', 'transfer_reversal'
        )
    ),
    CONSTRAINT refund_only_gives CHECK (
        kind <> 'refund'
        OR (contra = 'payable' AND contra_fen < 0 AND current_year_fen >= 0 AND prior_years_fen >= 0 AND wallet_fen >= 0)
    ),
    CONSTRAINT refund_reversal_only_takes CHECK (
        kind <> 'refund_reversal'
        OR (contra = 'payable' AND contra_fen > 0 AND current_year_fen <= 0 AND prior_years_fen <= 0 AND wallet_fen <= 0)
    ),
    CONSTRAINT return_only_gives CHECK (
        kind <> 'return'
        OR (contra = 'in_transit' AND contra_fen < 0 AND current_year_fen >= 0 AND prior_years_fen >= 0 AND wallet_fen = 0)
    ),
    CONSTRAINT rollover_only_ages CHECK (
        kind <> 'rollover' OR (contra = 'self' AND contra_fen = 0 AND current_year_fen < 0 AND wallet_fen = 0)
    ),
    CONSTRAINT settlement_only_takes CHECK (
        kind <> 'settlement'
        OR (contra = 'payable' AND contra_fen > 0 AND current_year_fen <= 0 AND prior_years_fen <= 0 AND wallet_fen <= 0)
    ),
    CONSTRAINT transfer_only_takes CHECK (
        kind <> 'transfer'
        OR (contra = 'in_transit' AND contra_fen > 0 AND current_year_fen <= 0 AND prior_years_fen <= 0 AND wallet_fen = 0)
    ),
    CONSTRAINT wallet_money_is_never_shared CHECK (binding_id IS NULL OR wallet_fen = 0),
    CONSTRAINT what_is_payable_was_given_somewhere CHECK ((contra = 'payable') = (care_region IS NOT NULL)),
    CONSTRAINT what_undoes_names_its_original CHECK (
        (kind IN ('refund', 'refund_reversal', 'credit_reversal', 'transfer_reversal')) = (original_id IS NOT NULL)
    )
) PARTITION BY RANGE (movement_id);

-- A person's movements, newest last; also what a binding has used of its yearly limit.
CREATE INDEX entries_by_person ON ledger.entries (province, person_id, movement_id);

-- Everything to come lies here until its month is prepared: money never waits for a partition. No default partition, with which
-- PostgreSQL would no longer know that the partitions follow one another, and would read and sort them all for a person's last
-- ten payments.
CREATE TABLE ledger.decisions_to_come PARTITION OF ledger.decisions FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
CREATE TABLE ledger.entries_to_come PARTITION OF ledger.entries FOR VALUES FROM (MINVALUE) TO (MAXVALUE);

-- The months that have been prepared, without a gap.
CREATE TABLE ledger.months (
    month date NOT NULL,
    prepared_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT months_pkey PRIMARY KEY (month),
    CONSTRAINT a_month_is_its_first_day CHECK (month = date_trunc('month', month))
);

-- Cuts the next month off what is to come, or the given one if there is none yet, and with it whatever of that month has come
-- already; returns it. Settlements wait for it a moment. Whoever keeps the books may call it, and may make no other table.
CREATE FUNCTION ledger.prepare_month(first_month date) RETURNS date
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_first boolean := NOT EXISTS (SELECT FROM ledger.months);
    next_month date := coalesce((SELECT max(month) + interval '1 month' FROM ledger.months), date_trunc('month', first_month));
    since uuid := ledger.earliest_id(next_month::timestamp AT TIME ZONE 'Asia/Shanghai');
    till uuid := ledger.earliest_id((next_month + interval '1 month') AT TIME ZONE 'Asia/Shanghai');
    book text;
    key text;
    part text;
    lower_end text;
    upper_end text;
BEGIN
    -- Both at once, in the order in which everybody else takes them, before anything is done.
    LOCK TABLE ledger.decisions, ledger.entries IN ACCESS EXCLUSIVE MODE;
    INSERT INTO ledger.months (month) VALUES (next_month);
    FOR book, key IN VALUES ('decisions', 'decision_id'), ('entries', 'movement_id')
    LOOP
        EXECUTE format('ALTER TABLE ledger.%1$I DETACH PARTITION ledger.%1$s_to_come', book);
        FOR part, lower_end, upper_end IN
            SELECT 'before', 'MINVALUE', quote_literal(since) WHERE is_first
            UNION ALL
            SELECT to_char(next_month, 'YYYY_MM'), quote_literal(since), quote_literal(till)
        LOOP
            EXECUTE format('CREATE TABLE ledger.%1$s_%2$s (LIKE ledger.%1$I INCLUDING CONSTRAINTS INCLUDING INDEXES)', book, part);
            EXECUTE format(
                'WITH come AS (DELETE FROM ledger.%1$s_to_come WHERE %3$I < %4$s RETURNING *)'
                ' INSERT INTO ledger.%1$s_%2$s SELECT * FROM come',
                book, part, key, upper_end
            );
            EXECUTE format(
                'ALTER TABLE ledger.%1$I ATTACH PARTITION ledger.%1$s_%2$s FOR VALUES FROM (%3$s) TO (%4$s)',
                book, part, lower_end, upper_end
            );
        END LOOP;
        EXECUTE format(
            'ALTER TABLE ledger.%1$I ATTACH PARTITION ledger.%1$s_to_come FOR VALUES FROM (%2$L) TO (MAXVALUE)', book, till
        );
    END LOOP;
    RETURN next_month;
END
$$;
REVOKE ALL ON FUNCTION ledger.prepare_month(date) FROM public;

-- What a transaction has written in a province, by id: decisions, and movements that nobody asked for. A page stays until it
-- has been sealed.
CREATE TABLE ledger.pages (
    province smallint NOT NULL,
    page_no bigint GENERATED ALWAYS AS IDENTITY,
    ids uuid [] NOT NULL,
    CONSTRAINT pages_pkey PRIMARY KEY (province, page_no),
    CONSTRAINT a_page_is_not_empty CHECK (cardinality(ids) > 0)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- What was decided before, each in its month.

DO $$
DECLARE
    first_month date := (
        SELECT (min(at) AT TIME ZONE 'Asia/Shanghai')::date
        FROM (
            SELECT min(decided_at) AS at FROM ledger.old_decisions
            UNION ALL
            SELECT min(moved_at) FROM ledger.old_entries
        ) AS earliest
    );
BEGIN
    WHILE first_month IS NOT NULL AND NOT EXISTS (
        SELECT FROM ledger.months WHERE month >= date_trunc('month', now() AT TIME ZONE 'Asia/Shanghai')
    )
    LOOP
        PERFORM ledger.prepare_month(first_month);
    END LOOP;
END
$$;

INSERT INTO ledger.decisions (
    province, decision_id, institution_id, request_id, operation, outcome, reason, moved, request, record, answer, decided_at
)
SELECT
    province,
    coalesce(
        movement_id,
        overlay(
            ledger.earliest_id(decided_at)::text
            PLACING '7' || substr(md5(concat_ws('/', province, institution_id, request_id)), 1, 3) || '-8'
            || substr(md5(concat_ws('/', province, institution_id, request_id)), 4, 3) || '-'
            || substr(md5(concat_ws('/', province, institution_id, request_id)), 7, 12)
            FROM 15
        )::uuid
    ),
    institution_id, request_id, operation, outcome, reason, movement_id IS NOT NULL, request, record, answer, decided_at
FROM ledger.old_decisions;

INSERT INTO ledger.names (province, institution_id, request_id, decision_id)
SELECT province, institution_id, request_id, decision_id FROM ledger.decisions;
-- squawk-ignore adding-not-nullable-field, constraint-missing-not-valid, disallowed-unique-constraint
ALTER TABLE ledger.names ADD CONSTRAINT one_decision_per_request PRIMARY KEY (province, institution_id, request_id);

-- Where the holder was insured was not written down; the request says where it was sent.
INSERT INTO ledger.entries (
    province, movement_id, person_id, kind, institution_id, request_id, binding_id, current_year_fen, prior_years_fen, wallet_fen,
    contra, contra_fen, original_id, insured_region, care_region, moved_at
)
SELECT
    entry.province, entry.movement_id, entry.person_id, entry.kind, entry.institution_id, entry.request_id, entry.binding_id,
    entry.current_year_fen, entry.prior_years_fen, entry.wallet_fen, entry.contra, entry.contra_fen, entry.original_id,
    coalesce(decision.request ->> 'insured_region', lpad(entry.province::text, 2, '0') || '0000'),
    CASE WHEN entry.contra = 'payable' THEN coalesce(decision.request ->> 'care_region', decision.request ->> 'insured_region') END,
    entry.moved_at
FROM ledger.old_entries AS entry
LEFT JOIN ledger.decisions AS decision
    ON decision.province = entry.province AND decision.decision_id = coalesce(entry.original_id, entry.movement_id);

INSERT INTO ledger.pages (province, ids)
SELECT province, array_agg(id ORDER BY id)
FROM (
    SELECT province, id, row_number() OVER (PARTITION BY province ORDER BY id) / 500 AS page
    FROM (
        SELECT province, decision_id AS id FROM ledger.decisions
        UNION
        SELECT province, movement_id FROM ledger.entries
    ) AS written
) AS numbered
GROUP BY province, page
ORDER BY province, page;

-- squawk-ignore ban-drop-table
DROP TABLE ledger.old_entries;
-- squawk-ignore ban-drop-table
DROP TABLE ledger.old_decisions;

-- What the binding service may see, as before.
CREATE VIEW ledger.binding_entries AS
SELECT
    province,
    movement_id,
    person_id,
    CASE kind WHEN 'refund_reversal' THEN 'settlement' ELSE kind END AS kind,
    institution_id,
    binding_id,
    current_year_fen + prior_years_fen AS account_fen,
    wallet_fen,
    moved_at
FROM ledger.entries
WHERE kind IN ('settlement', 'refund', 'refund_reversal');

CREATE VIEW ledger.binding_usage AS
SELECT
    province, person_id, binding_id, movement_id, contra_fen, coalesce(original_id, movement_id) AS counted_from
FROM ledger.entries
WHERE binding_id IS NOT NULL;

GRANT SELECT ON ledger.binding_entries, ledger.binding_usage TO gongji_binding;
GRANT SELECT, INSERT ON ledger.names, ledger.entries, ledger.decisions TO gongji_settlement;
GRANT INSERT ON ledger.pages TO gongji_settlement;
GRANT SELECT ON ledger.names, ledger.entries, ledger.decisions, ledger.pages, ledger.months TO gongji_audit;
