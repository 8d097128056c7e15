-- What the migrations must add up to: the whole schema at a glance, as pg_dump writes it.
-- A test holds it against a migrated database.

CREATE SCHEMA ledger;

CREATE SCHEMA registry;

CREATE TYPE ledger.account_change AS (
	province smallint,
	person_id text,
	current_year_fen bigint,
	prior_years_fen bigint,
	wallet_fen bigint,
	balances_year smallint
);

CREATE TYPE ledger.new_decision AS (
	province smallint,
	decision_id uuid,
	institution_id text,
	request_id text,
	operation text,
	outcome text,
	reason text,
	moved boolean,
	request json,
	record json,
	answer json,
	decided_at timestamp with time zone
);

CREATE TYPE ledger.new_entry AS (
	province smallint,
	movement_id uuid,
	person_id text,
	kind text,
	institution_id text,
	request_id text,
	binding_id uuid,
	current_year_fen bigint,
	prior_years_fen bigint,
	wallet_fen bigint,
	contra text,
	contra_fen bigint,
	original_id uuid,
	insured_region text,
	care_region text,
	moved_at timestamp with time zone
);

CREATE FUNCTION ledger.chained(previous bytea, digest bytea, seal_no bigint) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
SELECT sha256(coalesce(previous, ''::bytea) || digest || int8send(seal_no))
$$;

CREATE FUNCTION ledger.digest(of_province smallint, ids uuid[]) RETURNS bytea
    LANGUAGE sql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
SELECT sha256(convert_to(coalesce(string_agg(line, E'\n' ORDER BY line COLLATE "C"), ''), 'UTF8'))
FROM (
    SELECT jsonb_build_array(
        'decision', decision_id, institution_id, request_id, operation, outcome, reason, moved, request, record, answer,
        (extract(epoch FROM decided_at) * 1000000)::bigint
    )::text AS line
    FROM ledger.decisions
    WHERE province = of_province AND decision_id = ANY(ids)
    UNION ALL
    SELECT jsonb_build_array(
        'entry', movement_id, person_id, kind, institution_id, request_id, binding_id, current_year_fen, prior_years_fen,
        wallet_fen, contra, contra_fen, original_id, insured_region, care_region,
        (extract(epoch FROM moved_at) * 1000000)::bigint
    )::text
    FROM ledger.entries
    WHERE province = of_province AND movement_id = ANY(ids)
) AS written
$$;

CREATE FUNCTION ledger.earliest_id(moment timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

CREATE FUNCTION ledger.prepare_month(first_month date) RETURNS date
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;

CREATE FUNCTION registry.note_binding() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO registry.notices (
        province, event, at, binding_id, payer_id, beneficiary_province, beneficiary_id, valid_from, valid_until, cause
    )
    VALUES (
        NEW.province, CASE TG_OP WHEN 'INSERT' THEN 'binding.made' ELSE 'binding.ended' END, coalesce(NEW.ended_at, NEW.bound_at),
        NEW.binding_id, NEW.payer_id, NEW.beneficiary_province, NEW.beneficiary_id, NEW.valid_from, NEW.valid_until, NEW.end_cause
    );
    RETURN NULL;
END
$$;

CREATE FUNCTION registry.refuse_to_rewrite() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION '% of registry.% is refused: acts are only added', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TABLE ledger.accounts (
    province smallint NOT NULL,
    person_id text NOT NULL,
    current_year_fen bigint DEFAULT 0 NOT NULL,
    prior_years_fen bigint DEFAULT 0 NOT NULL,
    wallet_fen bigint DEFAULT 0 NOT NULL,
    balances_year smallint NOT NULL,
    CONSTRAINT current_year_is_never_negative CHECK ((current_year_fen >= 0)),
    CONSTRAINT prior_years_are_never_negative CHECK ((prior_years_fen >= 0)),
    CONSTRAINT wallet_is_never_negative CHECK ((wallet_fen >= 0))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_analyze_scale_factor='0.05');

CREATE VIEW ledger.binding_balances AS
 SELECT province,
    person_id,
    current_year_fen,
    prior_years_fen,
    wallet_fen,
    balances_year
   FROM ledger.accounts;

CREATE TABLE ledger.entries (
    province smallint CONSTRAINT entries_province_not_null1 NOT NULL,
    movement_id uuid CONSTRAINT entries_movement_id_not_null1 NOT NULL,
    person_id text CONSTRAINT entries_person_id_not_null1 NOT NULL,
    kind text CONSTRAINT entries_kind_not_null1 NOT NULL,
    institution_id text,
    request_id text,
    binding_id uuid,
    current_year_fen bigint CONSTRAINT entries_current_year_fen_not_null1 NOT NULL,
    prior_years_fen bigint CONSTRAINT entries_prior_years_fen_not_null1 NOT NULL,
    wallet_fen bigint CONSTRAINT entries_wallet_fen_not_null1 NOT NULL,
    contra text CONSTRAINT entries_contra_not_null1 NOT NULL,
    contra_fen bigint CONSTRAINT entries_contra_fen_not_null1 NOT NULL,
    original_id uuid,
    insured_region text NOT NULL,
    care_region text,
    moved_at timestamp with time zone CONSTRAINT entries_moved_at_not_null1 NOT NULL,
    CONSTRAINT a_request_has_its_name CHECK ((((kind = ANY (ARRAY['arrival'::text, 'return'::text, 'rollover'::text])) = (institution_id IS NULL)) AND ((institution_id IS NULL) = (request_id IS NULL)))),
    CONSTRAINT arrival_only_fills_the_wallet CHECK (((kind <> 'arrival'::text) OR ((contra = 'in_transit'::text) AND (current_year_fen = 0) AND (prior_years_fen = 0) AND (wallet_fen > 0)))),
    CONSTRAINT contra_is_known CHECK ((contra = ANY (ARRAY['payable'::text, 'contribution'::text, 'in_transit'::text, 'self'::text]))),
    CONSTRAINT credit_only_gives CHECK (((kind <> 'credit'::text) OR ((contra = 'contribution'::text) AND (contra_fen < 0) AND (current_year_fen >= 0) AND (prior_years_fen >= 0) AND (wallet_fen = 0)))),
    CONSTRAINT credit_reversal_only_takes CHECK (((kind <> 'credit_reversal'::text) OR ((contra = 'contribution'::text) AND (contra_fen > 0) AND (current_year_fen <= 0) AND (prior_years_fen <= 0) AND (wallet_fen = 0)))),
    CONSTRAINT entry_conserves_money CHECK (((((current_year_fen + prior_years_fen) + wallet_fen) + contra_fen) = 0)),
    CONSTRAINT kind_is_known CHECK ((kind = ANY (ARRAY['settlement'::text, 'credit'::text, 'transfer'::text, 'arrival'::text, 'return'::text, 'rollover'::text, 'refund'::text, 'refund_reversal'::text, 'credit_reversal'::text, 'transfer_reversal'::text]))),
    CONSTRAINT refund_only_gives CHECK (((kind <> 'refund'::text) OR ((contra = 'payable'::text) AND (contra_fen < 0) AND (current_year_fen >= 0) AND (prior_years_fen >= 0) AND (wallet_fen >= 0)))),
    CONSTRAINT refund_reversal_only_takes CHECK (((kind <> 'refund_reversal'::text) OR ((contra = 'payable'::text) AND (contra_fen > 0) AND (current_year_fen <= 0) AND (prior_years_fen <= 0) AND (wallet_fen <= 0)))),
    CONSTRAINT return_only_gives CHECK (((kind <> 'return'::text) OR ((contra = 'in_transit'::text) AND (contra_fen < 0) AND (current_year_fen >= 0) AND (prior_years_fen >= 0) AND (wallet_fen = 0)))),
    CONSTRAINT rollover_only_ages CHECK (((kind <> 'rollover'::text) OR ((contra = 'self'::text) AND (contra_fen = 0) AND (current_year_fen < 0) AND (wallet_fen = 0)))),
    CONSTRAINT settlement_only_takes CHECK (((kind <> 'settlement'::text) OR ((contra = 'payable'::text) AND (contra_fen > 0) AND (current_year_fen <= 0) AND (prior_years_fen <= 0) AND (wallet_fen <= 0)))),
    CONSTRAINT transfer_only_takes CHECK (((kind <> 'transfer'::text) OR ((contra = 'in_transit'::text) AND (contra_fen > 0) AND (current_year_fen <= 0) AND (prior_years_fen <= 0) AND (wallet_fen = 0)))),
    CONSTRAINT wallet_money_is_never_shared CHECK (((binding_id IS NULL) OR (wallet_fen = 0))),
    CONSTRAINT what_is_payable_was_given_somewhere CHECK (((contra = 'payable'::text) = (care_region IS NOT NULL))),
    CONSTRAINT what_undoes_names_its_original CHECK (((kind = ANY (ARRAY['refund'::text, 'refund_reversal'::text, 'credit_reversal'::text, 'transfer_reversal'::text])) = (original_id IS NOT NULL)))
)
PARTITION BY RANGE (movement_id);

CREATE VIEW ledger.binding_day_lines AS
 SELECT province,
    institution_id,
    request_id,
    movement_id,
    kind,
    (sum(contra_fen))::bigint AS account_fen,
    (COALESCE(sum(contra_fen) FILTER (WHERE (binding_id IS NOT NULL)), (0)::numeric))::bigint AS mutual_aid_fen
   FROM ledger.entries
  WHERE (kind = ANY (ARRAY['settlement'::text, 'refund'::text, 'refund_reversal'::text]))
  GROUP BY province, institution_id, request_id, movement_id, kind;

CREATE TABLE ledger.cancellations (
    province smallint NOT NULL,
    institution_id text NOT NULL,
    request_id text NOT NULL,
    cancelled_by text NOT NULL,
    cancelled_at timestamp with time zone NOT NULL
);

CREATE TABLE ledger.decisions (
    province smallint CONSTRAINT decisions_province_not_null1 NOT NULL,
    decision_id uuid NOT NULL,
    institution_id text CONSTRAINT decisions_institution_id_not_null1 NOT NULL,
    request_id text CONSTRAINT decisions_request_id_not_null1 NOT NULL,
    operation text CONSTRAINT decisions_operation_not_null1 NOT NULL,
    outcome text CONSTRAINT decisions_outcome_not_null1 NOT NULL,
    reason text,
    moved boolean NOT NULL,
    request json CONSTRAINT decisions_request_not_null1 NOT NULL,
    record json CONSTRAINT decisions_record_not_null1 NOT NULL,
    answer json CONSTRAINT decisions_answer_not_null1 NOT NULL,
    decided_at timestamp with time zone CONSTRAINT decisions_decided_at_not_null1 NOT NULL,
    CONSTRAINT blocked_is_a_tombstone CHECK ((((operation = 'blocked'::text) = (outcome = 'blocked'::text)) AND ((operation <> 'blocked'::text) OR (NOT moved)))),
    CONSTRAINT declined_moves_nothing CHECK (((outcome <> 'declined'::text) OR (NOT moved))),
    CONSTRAINT only_refusals_have_a_reason CHECK (((outcome = ANY (ARRAY['declined'::text, 'partial'::text])) = (reason IS NOT NULL))),
    CONSTRAINT outcome_is_stored CHECK ((outcome = ANY (ARRAY['settled'::text, 'partial'::text, 'declined'::text, 'credited'::text, 'transferred'::text, 'pending'::text, 'refunded'::text, 'cancelled'::text, 'blocked'::text])))
)
PARTITION BY RANGE (decision_id);

CREATE VIEW ledger.binding_decisions AS
 SELECT decision.province,
    decision.decision_id,
    decision.institution_id,
    decision.request_id,
    decision.operation,
    decision.outcome,
    decision.reason,
    COALESCE((decision.request ->> 'person_id'::text), (decision.request ->> 'from_person_id'::text), ((decision.record -> 'seen'::text) ->> 'patient_id'::text)) AS subject_id,
    ((decision.request)::jsonb - 'credential'::text) AS request,
    decision.record,
    decision.answer,
    decision.decided_at,
    cancellation.cancelled_by
   FROM (ledger.decisions decision
     LEFT JOIN ledger.cancellations cancellation ON (((cancellation.province = decision.province) AND (cancellation.institution_id = decision.institution_id) AND (cancellation.request_id = decision.request_id))))
  WHERE (decision.operation <> 'blocked'::text);

CREATE VIEW ledger.binding_entries AS
 SELECT province,
    movement_id,
    person_id,
        CASE kind
            WHEN 'refund_reversal'::text THEN 'settlement'::text
            ELSE kind
        END AS kind,
    institution_id,
    binding_id,
    (current_year_fen + prior_years_fen) AS account_fen,
    wallet_fen,
    moved_at
   FROM ledger.entries
  WHERE (kind = ANY (ARRAY['settlement'::text, 'refund'::text, 'refund_reversal'::text]));

CREATE VIEW ledger.binding_movements AS
 SELECT province,
    movement_id,
    person_id,
    kind,
    request_id,
    binding_id,
    current_year_fen,
    prior_years_fen,
    wallet_fen,
    original_id,
    moved_at
   FROM ledger.entries;

CREATE TABLE ledger.transfers (
    province smallint NOT NULL,
    transfer_id uuid NOT NULL,
    from_person_id text NOT NULL,
    to_province smallint NOT NULL,
    to_person_id text NOT NULL,
    binding_id uuid NOT NULL,
    current_year_fen bigint NOT NULL,
    prior_years_fen bigint NOT NULL,
    state text NOT NULL,
    made_at timestamp with time zone NOT NULL,
    accept_by timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    closed_movement_id uuid,
    CONSTRAINT a_transfer_is_closed_whole CHECK ((((state = ANY (ARRAY['arrived'::text, 'returned'::text, 'cancelled'::text])) = (closed_at IS NOT NULL)) AND ((closed_at IS NULL) = (closed_movement_id IS NULL)))),
    CONSTRAINT nobody_gives_to_themselves CHECK (((province <> to_province) OR (from_person_id <> to_person_id))),
    CONSTRAINT something_is_given CHECK (((current_year_fen >= 0) AND (prior_years_fen >= 0) AND ((current_year_fen + prior_years_fen) > 0))),
    CONSTRAINT state_is_known CHECK ((state = ANY (ARRAY['pending'::text, 'accepted'::text, 'arrived'::text, 'returned'::text, 'cancelled'::text])))
)
WITH (fillfactor='80');

CREATE VIEW ledger.binding_transfers AS
 SELECT province,
    transfer_id,
    from_person_id,
    to_province,
    to_person_id,
    (current_year_fen + prior_years_fen) AS amount_fen,
    state,
    made_at,
    accept_by,
    closed_at
   FROM ledger.transfers;

CREATE VIEW ledger.binding_usage AS
 SELECT province,
    person_id,
    binding_id,
    movement_id,
    contra_fen,
    COALESCE(original_id, movement_id) AS counted_from
   FROM ledger.entries
  WHERE (binding_id IS NOT NULL);

CREATE TABLE ledger.clearing_lines (
    province smallint NOT NULL,
    day date NOT NULL,
    insured_region text NOT NULL,
    institution_id text NOT NULL,
    care_region text NOT NULL,
    settlements bigint NOT NULL,
    settled_fen bigint NOT NULL,
    returned_fen bigint NOT NULL
);

CREATE TABLE ledger.clearings (
    province smallint NOT NULL,
    day date NOT NULL,
    closed_at timestamp with time zone NOT NULL,
    CONSTRAINT a_day_is_over_when_it_is_closed CHECK ((closed_at >= (((day + 1))::timestamp without time zone AT TIME ZONE 'Asia/Shanghai'::text)))
);

CREATE TABLE ledger.decisions_to_come (
    province smallint CONSTRAINT decisions_province_not_null1 NOT NULL,
    decision_id uuid CONSTRAINT decisions_decision_id_not_null NOT NULL,
    institution_id text CONSTRAINT decisions_institution_id_not_null1 NOT NULL,
    request_id text CONSTRAINT decisions_request_id_not_null1 NOT NULL,
    operation text CONSTRAINT decisions_operation_not_null1 NOT NULL,
    outcome text CONSTRAINT decisions_outcome_not_null1 NOT NULL,
    reason text,
    moved boolean CONSTRAINT decisions_moved_not_null NOT NULL,
    request json CONSTRAINT decisions_request_not_null1 NOT NULL,
    record json CONSTRAINT decisions_record_not_null1 NOT NULL,
    answer json CONSTRAINT decisions_answer_not_null1 NOT NULL,
    decided_at timestamp with time zone CONSTRAINT decisions_decided_at_not_null1 NOT NULL,
    CONSTRAINT blocked_is_a_tombstone CHECK ((((operation = 'blocked'::text) = (outcome = 'blocked'::text)) AND ((operation <> 'blocked'::text) OR (NOT moved)))),
    CONSTRAINT declined_moves_nothing CHECK (((outcome <> 'declined'::text) OR (NOT moved))),
    CONSTRAINT only_refusals_have_a_reason CHECK (((outcome = ANY (ARRAY['declined'::text, 'partial'::text])) = (reason IS NOT NULL))),
    CONSTRAINT outcome_is_stored CHECK ((outcome = ANY (ARRAY['settled'::text, 'partial'::text, 'declined'::text, 'credited'::text, 'transferred'::text, 'pending'::text, 'refunded'::text, 'cancelled'::text, 'blocked'::text])))
);

CREATE TABLE ledger.entries_to_come (
    province smallint CONSTRAINT entries_province_not_null1 NOT NULL,
    movement_id uuid CONSTRAINT entries_movement_id_not_null1 NOT NULL,
    person_id text CONSTRAINT entries_person_id_not_null1 NOT NULL,
    kind text CONSTRAINT entries_kind_not_null1 NOT NULL,
    institution_id text,
    request_id text,
    binding_id uuid,
    current_year_fen bigint CONSTRAINT entries_current_year_fen_not_null1 NOT NULL,
    prior_years_fen bigint CONSTRAINT entries_prior_years_fen_not_null1 NOT NULL,
    wallet_fen bigint CONSTRAINT entries_wallet_fen_not_null1 NOT NULL,
    contra text CONSTRAINT entries_contra_not_null1 NOT NULL,
    contra_fen bigint CONSTRAINT entries_contra_fen_not_null1 NOT NULL,
    original_id uuid,
    insured_region text CONSTRAINT entries_insured_region_not_null NOT NULL,
    care_region text,
    moved_at timestamp with time zone CONSTRAINT entries_moved_at_not_null1 NOT NULL,
    CONSTRAINT a_request_has_its_name CHECK ((((kind = ANY (ARRAY['arrival'::text, 'return'::text, 'rollover'::text])) = (institution_id IS NULL)) AND ((institution_id IS NULL) = (request_id IS NULL)))),
    CONSTRAINT arrival_only_fills_the_wallet CHECK (((kind <> 'arrival'::text) OR ((contra = 'in_transit'::text) AND (current_year_fen = 0) AND (prior_years_fen = 0) AND (wallet_fen > 0)))),
    CONSTRAINT contra_is_known CHECK ((contra = ANY (ARRAY['payable'::text, 'contribution'::text, 'in_transit'::text, 'self'::text]))),
    CONSTRAINT credit_only_gives CHECK (((kind <> 'credit'::text) OR ((contra = 'contribution'::text) AND (contra_fen < 0) AND (current_year_fen >= 0) AND (prior_years_fen >= 0) AND (wallet_fen = 0)))),
    CONSTRAINT credit_reversal_only_takes CHECK (((kind <> 'credit_reversal'::text) OR ((contra = 'contribution'::text) AND (contra_fen > 0) AND (current_year_fen <= 0) AND (prior_years_fen <= 0) AND (wallet_fen = 0)))),
    CONSTRAINT entry_conserves_money CHECK (((((current_year_fen + prior_years_fen) + wallet_fen) + contra_fen) = 0)),
    CONSTRAINT kind_is_known CHECK ((kind = ANY (ARRAY['settlement'::text, 'credit'::text, 'transfer'::text, 'arrival'::text, 'return'::text, 'rollover'::text, 'refund'::text, 'refund_reversal'::text, 'credit_reversal'::text, 'transfer_reversal'::text]))),
    CONSTRAINT refund_only_gives CHECK (((kind <> 'refund'::text) OR ((contra = 'payable'::text) AND (contra_fen < 0) AND (current_year_fen >= 0) AND (prior_years_fen >= 0) AND (wallet_fen >= 0)))),
    CONSTRAINT refund_reversal_only_takes CHECK (((kind <> 'refund_reversal'::text) OR ((contra = 'payable'::text) AND (contra_fen > 0) AND (current_year_fen <= 0) AND (prior_years_fen <= 0) AND (wallet_fen <= 0)))),
    CONSTRAINT return_only_gives CHECK (((kind <> 'return'::text) OR ((contra = 'in_transit'::text) AND (contra_fen < 0) AND (current_year_fen >= 0) AND (prior_years_fen >= 0) AND (wallet_fen = 0)))),
    CONSTRAINT rollover_only_ages CHECK (((kind <> 'rollover'::text) OR ((contra = 'self'::text) AND (contra_fen = 0) AND (current_year_fen < 0) AND (wallet_fen = 0)))),
    CONSTRAINT settlement_only_takes CHECK (((kind <> 'settlement'::text) OR ((contra = 'payable'::text) AND (contra_fen > 0) AND (current_year_fen <= 0) AND (prior_years_fen <= 0) AND (wallet_fen <= 0)))),
    CONSTRAINT transfer_only_takes CHECK (((kind <> 'transfer'::text) OR ((contra = 'in_transit'::text) AND (contra_fen > 0) AND (current_year_fen <= 0) AND (prior_years_fen <= 0) AND (wallet_fen = 0)))),
    CONSTRAINT wallet_money_is_never_shared CHECK (((binding_id IS NULL) OR (wallet_fen = 0))),
    CONSTRAINT what_is_payable_was_given_somewhere CHECK (((contra = 'payable'::text) = (care_region IS NOT NULL))),
    CONSTRAINT what_undoes_names_its_original CHECK (((kind = ANY (ARRAY['refund'::text, 'refund_reversal'::text, 'credit_reversal'::text, 'transfer_reversal'::text])) = (original_id IS NOT NULL)))
);

CREATE TABLE ledger.months (
    month date NOT NULL,
    prepared_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT a_month_is_its_first_day CHECK ((month = date_trunc('month'::text, (month)::timestamp with time zone)))
);

CREATE TABLE ledger.names (
    province smallint NOT NULL,
    institution_id text NOT NULL,
    request_id text NOT NULL,
    decision_id uuid NOT NULL
);

CREATE TABLE ledger.pages (
    province smallint NOT NULL,
    page_no bigint NOT NULL,
    ids uuid[] NOT NULL,
    CONSTRAINT a_page_is_not_empty CHECK ((cardinality(ids) > 0))
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='5000');

ALTER TABLE ledger.pages ALTER COLUMN page_no ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ledger.pages_page_no_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE ledger.refusals (
    province smallint NOT NULL,
    refusal_id bigint NOT NULL,
    refused_at timestamp with time zone NOT NULL,
    reason text NOT NULL,
    amqp_user text,
    institution_id text NOT NULL,
    request_id text NOT NULL,
    operation text NOT NULL
);

ALTER TABLE ledger.refusals ALTER COLUMN refusal_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ledger.refusals_refusal_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE ledger.relayed (
    province smallint NOT NULL,
    seal_no bigint NOT NULL
);

CREATE TABLE ledger.remainders (
    province smallint NOT NULL,
    movement_id uuid NOT NULL,
    person_id text NOT NULL,
    current_year_fen bigint NOT NULL,
    prior_years_fen bigint NOT NULL,
    wallet_fen bigint NOT NULL,
    CONSTRAINT never_more_back_than_was_paid CHECK (((current_year_fen >= 0) AND (prior_years_fen >= 0) AND (wallet_fen >= 0)))
)
WITH (fillfactor='80');

CREATE TABLE ledger.rollovers (
    rollover_id bigint NOT NULL,
    year smallint NOT NULL,
    accounts bigint NOT NULL,
    moved_fen bigint NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    run_by text DEFAULT SESSION_USER NOT NULL
);

ALTER TABLE ledger.rollovers ALTER COLUMN rollover_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ledger.rollovers_rollover_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE ledger.seals (
    province smallint NOT NULL,
    seal_no bigint NOT NULL,
    ids uuid[] NOT NULL,
    digest bytea NOT NULL,
    hash bytea NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    CONSTRAINT a_seal_covers_something CHECK ((cardinality(ids) > 0)),
    CONSTRAINT hashes_are_sha_256 CHECK (((length(digest) = 32) AND (length(hash) = 32))),
    CONSTRAINT seals_count_from_one CHECK ((seal_no >= 1))
);

CREATE TABLE registry.acts (
    act_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    subject text NOT NULL,
    role text NOT NULL,
    action text NOT NULL,
    person_ids text[] NOT NULL,
    thing_id text,
    CONSTRAINT acts_are_those_of_clerks_and_operators CHECK ((role = ANY (ARRAY['clerk'::text, 'operator'::text])))
);

ALTER TABLE registry.acts ALTER COLUMN act_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME registry.acts_act_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE registry.bindings (
    province smallint NOT NULL,
    binding_id uuid NOT NULL,
    payer_id text NOT NULL,
    beneficiary_province smallint NOT NULL,
    beneficiary_id text NOT NULL,
    relation text NOT NULL,
    valid_from date NOT NULL,
    valid_until date,
    annual_limit_fen bigint,
    wallet boolean NOT NULL,
    auto_accept boolean NOT NULL,
    bound_at timestamp with time zone NOT NULL,
    bound_by text NOT NULL,
    ended_at timestamp with time zone,
    ended_by text,
    end_cause text,
    CONSTRAINT across_provinces_only_through_the_wallet CHECK (((province = beneficiary_province) OR wallet)),
    CONSTRAINT an_end_is_recorded_whole CHECK ((((ended_at IS NULL) = (ended_by IS NULL)) AND ((ended_at IS NULL) = (end_cause IS NULL)))),
    CONSTRAINT annual_limit_is_positive CHECK ((annual_limit_fen > 0)),
    CONSTRAINT binding_ends_no_earlier_than_it_starts CHECK ((valid_until >= valid_from)),
    CONSTRAINT nobody_is_bound_to_themselves CHECK (((province <> beneficiary_province) OR (payer_id <> beneficiary_id)))
);

CREATE TABLE registry.idempotency_keys (
    subject text NOT NULL,
    key text NOT NULL,
    content bytea NOT NULL,
    status smallint NOT NULL,
    body jsonb NOT NULL,
    kept_at timestamp with time zone NOT NULL
);

CREATE TABLE registry.institutions (
    institution_id text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    region_code text NOT NULL,
    amqp_user text,
    status text NOT NULL,
    registered_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    signing_keys jsonb DEFAULT '[]'::jsonb NOT NULL,
    CONSTRAINT institution_id_is_opaque CHECK ((institution_id ~ '^[A-Za-z0-9_-]{1,30}$'::text)),
    CONSTRAINT institution_region_has_six_digits CHECK ((region_code ~ '^[0-9]{6}$'::text)),
    CONSTRAINT institution_status_is_known CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text]))),
    CONSTRAINT kind_is_known CHECK ((kind = ANY (ARRAY['hospital'::text, 'pharmacy'::text, 'gateway'::text, 'tax_office'::text, 'agency'::text]))),
    CONSTRAINT signing_keys_are_a_list CHECK ((jsonb_typeof(signing_keys) = 'array'::text))
);

CREATE TABLE registry.kinship_links (
    province smallint NOT NULL,
    kinship_link_id uuid NOT NULL,
    holder_id text NOT NULL,
    shown_id text NOT NULL,
    linked_at timestamp with time zone NOT NULL,
    linked_by text NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT nobody_shows_their_own_code_by_a_link CHECK ((holder_id <> shown_id))
);

CREATE TABLE registry.notices (
    province smallint NOT NULL,
    notice_no bigint NOT NULL,
    event text NOT NULL,
    at timestamp with time zone NOT NULL,
    binding_id uuid NOT NULL,
    payer_id text NOT NULL,
    beneficiary_province smallint NOT NULL,
    beneficiary_id text NOT NULL,
    valid_from date NOT NULL,
    valid_until date,
    cause text,
    CONSTRAINT event_is_known CHECK ((event = ANY (ARRAY['binding.made'::text, 'binding.ended'::text])))
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');

ALTER TABLE registry.notices ALTER COLUMN notice_no ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME registry.notices_notice_no_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE registry.persons (
    province smallint NOT NULL,
    person_id text NOT NULL,
    region_code text NOT NULL,
    insurance text NOT NULL,
    status text NOT NULL,
    account_frozen boolean DEFAULT false NOT NULL,
    name_sealed bytea NOT NULL,
    id_number_sealed bytea NOT NULL,
    id_number_index bytea NOT NULL,
    moved_to text,
    registered_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    CONSTRAINT insurance_is_known CHECK ((insurance = ANY (ARRAY['employee'::text, 'resident'::text]))),
    CONSTRAINT person_id_is_opaque CHECK ((person_id ~ '^[A-Za-z0-9_-]{1,30}$'::text)),
    CONSTRAINT province_is_the_regions_first_two_digits CHECK ((("left"(region_code, 2))::smallint = province)),
    CONSTRAINT region_code_has_six_digits CHECK ((region_code ~ '^[0-9]{6}$'::text)),
    CONSTRAINT status_is_known CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'ended'::text])))
);

CREATE TABLE registry.policy_epochs (
    province smallint NOT NULL,
    epoch bigint NOT NULL
);

CREATE TABLE registry.reconciliation_differences (
    province smallint NOT NULL,
    reconciliation_id uuid NOT NULL,
    request_id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    our_movement_id uuid,
    our_account_fen bigint,
    our_mutual_aid_fen bigint,
    their_account_fen bigint,
    their_mutual_aid_fen bigint,
    CONSTRAINT kind_says_which_sides_there_are CHECK (
CASE kind
    WHEN 'missing_here'::text THEN ((num_nonnulls(our_movement_id, our_account_fen, our_mutual_aid_fen) = 0) AND (num_nulls(their_account_fen, their_mutual_aid_fen) = 0))
    WHEN 'missing_there'::text THEN ((num_nulls(our_movement_id, our_account_fen, our_mutual_aid_fen) = 0) AND (num_nonnulls(their_account_fen, their_mutual_aid_fen) = 0))
    WHEN 'different'::text THEN (num_nulls(our_movement_id, our_account_fen, our_mutual_aid_fen, their_account_fen, their_mutual_aid_fen) = 0)
    ELSE false
END)
);

CREATE TABLE registry.reconciliation_lines (
    province smallint NOT NULL,
    reconciliation_id uuid NOT NULL,
    line integer NOT NULL,
    request_id text NOT NULL,
    account_fen bigint NOT NULL,
    mutual_aid_fen bigint NOT NULL
);

CREATE TABLE registry.reconciliations (
    province smallint NOT NULL,
    reconciliation_id uuid NOT NULL,
    institution_id text NOT NULL,
    insured_region text NOT NULL,
    date date NOT NULL,
    state text NOT NULL,
    lines_read integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    started_by text NOT NULL,
    progress_at timestamp with time zone NOT NULL,
    compared_at timestamp with time zone,
    our_count bigint,
    our_account_fen bigint,
    our_mutual_aid_fen bigint,
    our_refunded_fen bigint,
    their_count bigint,
    their_account_fen bigint,
    their_mutual_aid_fen bigint,
    missing_here bigint,
    missing_there bigint,
    different bigint,
    CONSTRAINT a_result_is_recorded_whole CHECK ((num_nonnulls(compared_at, our_count, our_account_fen, our_mutual_aid_fen, our_refunded_fen, their_count, their_account_fen, their_mutual_aid_fen, missing_here, missing_there, different) =
CASE
    WHEN (state = ANY (ARRAY['balanced'::text, 'differs'::text])) THEN 11
    ELSE 0
END)),
    CONSTRAINT balanced_is_without_a_difference CHECK (((state = 'balanced'::text) = (((missing_here + missing_there) + different) = 0))),
    CONSTRAINT province_is_the_regions_first_two_digits CHECK ((("left"(insured_region, 2))::smallint = province)),
    CONSTRAINT state_is_known CHECK ((state = ANY (ARRAY['reading'::text, 'balanced'::text, 'differs'::text, 'abandoned'::text])))
);

CREATE TABLE registry.region_policies (
    province smallint NOT NULL,
    code text NOT NULL,
    version integer NOT NULL,
    effective_from date NOT NULL,
    policy jsonb NOT NULL,
    put_at timestamp with time zone NOT NULL,
    put_by text NOT NULL,
    CONSTRAINT code_is_a_province_a_pooling_area_or_a_region CHECK ((code ~ '^([0-9]{2}|[0-9]{4}|[0-9]{6})$'::text)),
    CONSTRAINT versions_count_from_one CHECK ((version >= 1))
);

CREATE TABLE registry.sealing_keys (
    key_id integer NOT NULL,
    active boolean NOT NULL,
    activated_at timestamp with time zone,
    retired_at timestamp with time zone,
    CONSTRAINT key_id_has_two_bytes CHECK (((key_id >= 1) AND (key_id <= 65535))),
    CONSTRAINT the_active_key_is_not_retired CHECK (((NOT active) OR ((activated_at IS NOT NULL) AND (retired_at IS NULL))))
);

CREATE TABLE registry.transfer_acceptances (
    province smallint NOT NULL,
    transfer_id uuid NOT NULL,
    accepted_at timestamp with time zone NOT NULL,
    accepted_by text NOT NULL
);

CREATE VIEW registry.settlement_acceptances AS
 SELECT province,
    transfer_id,
    accepted_at
   FROM registry.transfer_acceptances;

CREATE VIEW registry.settlement_bindings AS
 SELECT province,
    binding_id,
    payer_id,
    beneficiary_province,
    beneficiary_id,
    valid_from,
    valid_until,
    annual_limit_fen,
    bound_at,
    wallet,
    auto_accept,
        CASE
            WHEN ((end_cause = ANY (ARRAY['payer_left_employee_insurance'::text, 'payer_moved'::text, 'beneficiary_moved'::text])) AND (valid_until = ((ended_at AT TIME ZONE 'Asia/Shanghai'::text))::date)) THEN end_cause
            ELSE NULL::text
        END AS closed_cause
   FROM registry.bindings
  WHERE ((ended_at IS NULL) OR (valid_until > ((ended_at AT TIME ZONE 'Asia/Shanghai'::text))::date) OR (end_cause = ANY (ARRAY['payer_left_employee_insurance'::text, 'payer_moved'::text, 'beneficiary_moved'::text])));

CREATE VIEW registry.settlement_enrolments AS
 SELECT province,
    person_id,
    region_code,
    insurance,
    status,
    account_frozen
   FROM registry.persons
  WHERE (moved_to IS NULL);

CREATE VIEW registry.settlement_institutions AS
 SELECT institution_id,
    kind,
    status,
    amqp_user,
    signing_keys
   FROM registry.institutions;

CREATE VIEW registry.settlement_kinship_links AS
 SELECT province,
    shown_id
   FROM registry.kinship_links
  WHERE (ended_at IS NULL);

CREATE VIEW registry.settlement_policies AS
 SELECT province,
    code,
    version,
    effective_from,
    policy
   FROM registry.region_policies;

CREATE VIEW registry.settlement_policy_epochs AS
 SELECT province,
    epoch
   FROM registry.policy_epochs;

ALTER TABLE ONLY ledger.decisions ATTACH PARTITION ledger.decisions_to_come FOR VALUES FROM (MINVALUE) TO (MAXVALUE);

ALTER TABLE ONLY ledger.entries ATTACH PARTITION ledger.entries_to_come FOR VALUES FROM (MINVALUE) TO (MAXVALUE);

ALTER TABLE ONLY ledger.clearings
    ADD CONSTRAINT a_day_is_closed_once PRIMARY KEY (province, day);

ALTER TABLE ONLY ledger.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (province, person_id);

ALTER TABLE ONLY ledger.clearing_lines
    ADD CONSTRAINT clearing_lines_pkey PRIMARY KEY (province, day, insured_region, institution_id, care_region);

ALTER TABLE ONLY ledger.decisions
    ADD CONSTRAINT decisions_pkey PRIMARY KEY (province, decision_id);

ALTER TABLE ONLY ledger.decisions_to_come
    ADD CONSTRAINT decisions_to_come_pkey PRIMARY KEY (province, decision_id);

ALTER TABLE ONLY ledger.entries
    ADD CONSTRAINT entries_pkey PRIMARY KEY (province, movement_id, person_id);

ALTER TABLE ONLY ledger.entries_to_come
    ADD CONSTRAINT entries_to_come_pkey PRIMARY KEY (province, movement_id, person_id);

ALTER TABLE ONLY ledger.months
    ADD CONSTRAINT months_pkey PRIMARY KEY (month);

ALTER TABLE ONLY ledger.cancellations
    ADD CONSTRAINT one_cancellation_per_request PRIMARY KEY (province, institution_id, request_id);

ALTER TABLE ONLY ledger.names
    ADD CONSTRAINT one_decision_per_request PRIMARY KEY (province, institution_id, request_id);

ALTER TABLE ONLY ledger.refusals
    ADD CONSTRAINT one_row_per_refusal PRIMARY KEY (province, refusal_id);

ALTER TABLE ONLY ledger.pages
    ADD CONSTRAINT pages_pkey PRIMARY KEY (province, page_no);

ALTER TABLE ONLY ledger.relayed
    ADD CONSTRAINT relayed_pkey PRIMARY KEY (province);

ALTER TABLE ONLY ledger.remainders
    ADD CONSTRAINT remainders_pkey PRIMARY KEY (province, movement_id, person_id);

ALTER TABLE ONLY ledger.rollovers
    ADD CONSTRAINT rollovers_pkey PRIMARY KEY (rollover_id);

ALTER TABLE ONLY ledger.seals
    ADD CONSTRAINT seals_pkey PRIMARY KEY (province, seal_no);

ALTER TABLE ONLY ledger.transfers
    ADD CONSTRAINT transfers_pkey PRIMARY KEY (province, transfer_id);

ALTER TABLE ONLY registry.acts
    ADD CONSTRAINT acts_pkey PRIMARY KEY (act_id);

ALTER TABLE ONLY registry.bindings
    ADD CONSTRAINT bindings_pkey PRIMARY KEY (province, binding_id);

ALTER TABLE ONLY registry.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (subject, key);

ALTER TABLE ONLY registry.institutions
    ADD CONSTRAINT institutions_pkey PRIMARY KEY (institution_id);

ALTER TABLE ONLY registry.kinship_links
    ADD CONSTRAINT kinship_links_pkey PRIMARY KEY (province, kinship_link_id);

ALTER TABLE ONLY registry.notices
    ADD CONSTRAINT notices_pkey PRIMARY KEY (province, notice_no);

ALTER TABLE ONLY registry.persons
    ADD CONSTRAINT persons_pkey PRIMARY KEY (province, person_id);

ALTER TABLE ONLY registry.policy_epochs
    ADD CONSTRAINT policy_epochs_pkey PRIMARY KEY (province);

ALTER TABLE ONLY registry.reconciliation_differences
    ADD CONSTRAINT reconciliation_differences_pkey PRIMARY KEY (province, reconciliation_id, request_id);

ALTER TABLE ONLY registry.reconciliation_lines
    ADD CONSTRAINT reconciliation_lines_pkey PRIMARY KEY (province, reconciliation_id, line);

ALTER TABLE ONLY registry.reconciliations
    ADD CONSTRAINT reconciliations_pkey PRIMARY KEY (province, reconciliation_id);

ALTER TABLE ONLY registry.region_policies
    ADD CONSTRAINT region_policies_pkey PRIMARY KEY (province, code, version);

ALTER TABLE ONLY registry.sealing_keys
    ADD CONSTRAINT sealing_keys_pkey PRIMARY KEY (key_id);

ALTER TABLE ONLY registry.transfer_acceptances
    ADD CONSTRAINT transfer_acceptances_pkey PRIMARY KEY (province, transfer_id);

CREATE INDEX accounts_by_person_id ON ledger.accounts USING hash (person_id);

CREATE INDEX entries_by_person ON ONLY ledger.entries USING btree (province, person_id, movement_id);

CREATE INDEX entries_to_come_province_person_id_movement_id_idx ON ledger.entries_to_come USING btree (province, person_id, movement_id);

CREATE INDEX open_transfers_by_deadline ON ledger.transfers USING btree (accept_by) WHERE (state = ANY (ARRAY['pending'::text, 'accepted'::text]));

CREATE INDEX open_transfers_by_receiver ON ledger.transfers USING btree (to_province, to_person_id) WHERE (state = ANY (ARRAY['pending'::text, 'accepted'::text]));

CREATE INDEX transfers_by_giver ON ledger.transfers USING btree (province, from_person_id, transfer_id);

CREATE INDEX transfers_by_receiver ON ledger.transfers USING btree (to_province, to_person_id, transfer_id);

CREATE INDEX acts_by_person ON registry.acts USING gin (person_ids);

CREATE INDEX acts_by_time ON registry.acts USING btree (at);

CREATE INDEX bindings_by_beneficiary_id ON registry.bindings USING hash (beneficiary_id);

CREATE INDEX bindings_by_payer ON registry.bindings USING btree (province, payer_id);

CREATE INDEX idempotency_keys_by_age ON registry.idempotency_keys USING btree (kept_at);

CREATE INDEX kinship_links_by_holder ON registry.kinship_links USING btree (holder_id);

CREATE UNIQUE INDEX one_active_sealing_key ON registry.sealing_keys USING btree (active) WHERE active;

CREATE UNIQUE INDEX one_file_at_a_time ON registry.reconciliations USING btree (institution_id) WHERE (state = 'reading'::text);

CREATE UNIQUE INDEX one_standing_kinship_link ON registry.kinship_links USING btree (province, shown_id, holder_id) WHERE (ended_at IS NULL);

CREATE INDEX persons_by_id_number ON registry.persons USING btree (province, id_number_index);

CREATE INDEX persons_by_person_id ON registry.persons USING hash (person_id);

CREATE INDEX reconciliations_being_read ON registry.reconciliations USING btree (progress_at) WHERE (state = 'reading'::text);

CREATE INDEX reconciliations_by_institution ON registry.reconciliations USING btree (institution_id, reconciliation_id);

ALTER INDEX ledger.decisions_pkey ATTACH PARTITION ledger.decisions_to_come_pkey;

ALTER INDEX ledger.entries_pkey ATTACH PARTITION ledger.entries_to_come_pkey;

ALTER INDEX ledger.entries_by_person ATTACH PARTITION ledger.entries_to_come_province_person_id_movement_id_idx;

CREATE TRIGGER a_binding_is_noted AFTER INSERT ON registry.bindings FOR EACH ROW EXECUTE FUNCTION registry.note_binding();

CREATE TRIGGER acts_are_only_added BEFORE DELETE OR UPDATE OR TRUNCATE ON registry.acts FOR EACH STATEMENT EXECUTE FUNCTION registry.refuse_to_rewrite();

CREATE TRIGGER an_end_is_noted AFTER UPDATE OF ended_at ON registry.bindings FOR EACH ROW WHEN ((new.ended_at IS DISTINCT FROM old.ended_at)) EXECUTE FUNCTION registry.note_binding();

ALTER TABLE ONLY ledger.clearing_lines
    ADD CONSTRAINT a_line_is_of_a_closed_day FOREIGN KEY (province, day) REFERENCES ledger.clearings(province, day);

GRANT USAGE ON SCHEMA ledger TO gongji_settlement;
GRANT USAGE ON SCHEMA ledger TO gongji_audit;
GRANT USAGE ON SCHEMA ledger TO gongji_binding;
GRANT USAGE ON SCHEMA ledger TO gongji_bookkeeping;

GRANT USAGE ON SCHEMA registry TO gongji_settlement;
GRANT USAGE ON SCHEMA registry TO gongji_binding;
GRANT USAGE ON SCHEMA registry TO gongji_audit;
GRANT USAGE ON SCHEMA registry TO gongji_bookkeeping;
GRANT USAGE ON SCHEMA registry TO gongji_keys;

REVOKE ALL ON FUNCTION ledger.prepare_month(first_month date) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.prepare_month(first_month date) TO gongji_bookkeeping;

GRANT SELECT,INSERT ON TABLE ledger.accounts TO gongji_settlement;
GRANT SELECT ON TABLE ledger.accounts TO gongji_audit;

GRANT UPDATE(current_year_fen) ON TABLE ledger.accounts TO gongji_settlement;

GRANT UPDATE(prior_years_fen) ON TABLE ledger.accounts TO gongji_settlement;

GRANT UPDATE(wallet_fen) ON TABLE ledger.accounts TO gongji_settlement;

GRANT UPDATE(balances_year) ON TABLE ledger.accounts TO gongji_settlement;

GRANT SELECT ON TABLE ledger.binding_balances TO gongji_binding;

GRANT SELECT,INSERT ON TABLE ledger.entries TO gongji_settlement;
GRANT SELECT ON TABLE ledger.entries TO gongji_audit;
GRANT SELECT ON TABLE ledger.entries TO gongji_bookkeeping;

GRANT SELECT ON TABLE ledger.binding_day_lines TO gongji_binding;

GRANT SELECT,INSERT ON TABLE ledger.cancellations TO gongji_settlement;
GRANT SELECT ON TABLE ledger.cancellations TO gongji_audit;

GRANT SELECT,INSERT ON TABLE ledger.decisions TO gongji_settlement;
GRANT SELECT ON TABLE ledger.decisions TO gongji_audit;
GRANT SELECT ON TABLE ledger.decisions TO gongji_bookkeeping;

GRANT SELECT ON TABLE ledger.binding_decisions TO gongji_binding;

GRANT SELECT ON TABLE ledger.binding_entries TO gongji_binding;

GRANT SELECT ON TABLE ledger.binding_movements TO gongji_binding;

GRANT SELECT,INSERT ON TABLE ledger.transfers TO gongji_settlement;
GRANT SELECT ON TABLE ledger.transfers TO gongji_audit;

GRANT SELECT(province) ON TABLE ledger.transfers TO gongji_bookkeeping;

GRANT SELECT(transfer_id) ON TABLE ledger.transfers TO gongji_bookkeeping;

GRANT UPDATE(state) ON TABLE ledger.transfers TO gongji_settlement;

GRANT UPDATE(closed_at) ON TABLE ledger.transfers TO gongji_settlement;

GRANT UPDATE(closed_movement_id) ON TABLE ledger.transfers TO gongji_settlement;

GRANT SELECT ON TABLE ledger.binding_transfers TO gongji_binding;

GRANT SELECT ON TABLE ledger.binding_usage TO gongji_binding;

GRANT SELECT,INSERT ON TABLE ledger.clearing_lines TO gongji_bookkeeping;
GRANT SELECT ON TABLE ledger.clearing_lines TO gongji_audit;

GRANT SELECT,INSERT ON TABLE ledger.clearings TO gongji_bookkeeping;
GRANT SELECT ON TABLE ledger.clearings TO gongji_audit;

GRANT SELECT ON TABLE ledger.months TO gongji_audit;
GRANT SELECT ON TABLE ledger.months TO gongji_bookkeeping;

GRANT SELECT,INSERT ON TABLE ledger.names TO gongji_settlement;
GRANT SELECT ON TABLE ledger.names TO gongji_audit;

GRANT INSERT ON TABLE ledger.pages TO gongji_settlement;
GRANT SELECT ON TABLE ledger.pages TO gongji_audit;
GRANT SELECT,DELETE ON TABLE ledger.pages TO gongji_bookkeeping;

GRANT INSERT ON TABLE ledger.refusals TO gongji_settlement;
GRANT SELECT ON TABLE ledger.refusals TO gongji_audit;

GRANT SELECT,INSERT ON TABLE ledger.relayed TO gongji_bookkeeping;
GRANT SELECT ON TABLE ledger.relayed TO gongji_audit;

GRANT UPDATE(seal_no) ON TABLE ledger.relayed TO gongji_bookkeeping;

GRANT SELECT,INSERT ON TABLE ledger.remainders TO gongji_settlement;
GRANT SELECT ON TABLE ledger.remainders TO gongji_audit;

GRANT UPDATE(current_year_fen) ON TABLE ledger.remainders TO gongji_settlement;

GRANT UPDATE(prior_years_fen) ON TABLE ledger.remainders TO gongji_settlement;

GRANT UPDATE(wallet_fen) ON TABLE ledger.remainders TO gongji_settlement;

GRANT SELECT,INSERT ON TABLE ledger.rollovers TO gongji_settlement;
GRANT SELECT ON TABLE ledger.rollovers TO gongji_audit;

GRANT SELECT,INSERT ON TABLE ledger.seals TO gongji_bookkeeping;
GRANT SELECT ON TABLE ledger.seals TO gongji_audit;

GRANT SELECT,INSERT ON TABLE registry.acts TO gongji_binding;
GRANT SELECT ON TABLE registry.acts TO gongji_audit;

GRANT SELECT,INSERT,UPDATE ON TABLE registry.bindings TO gongji_binding;

GRANT SELECT,INSERT,DELETE ON TABLE registry.idempotency_keys TO gongji_binding;

GRANT SELECT,INSERT,UPDATE ON TABLE registry.institutions TO gongji_binding;

GRANT SELECT,INSERT,UPDATE ON TABLE registry.kinship_links TO gongji_binding;

GRANT SELECT,DELETE ON TABLE registry.notices TO gongji_bookkeeping;

GRANT SELECT,INSERT,UPDATE ON TABLE registry.persons TO gongji_binding;

GRANT SELECT(province) ON TABLE registry.persons TO gongji_keys;

GRANT SELECT(person_id) ON TABLE registry.persons TO gongji_keys;

GRANT SELECT(name_sealed),UPDATE(name_sealed) ON TABLE registry.persons TO gongji_keys;

GRANT SELECT(id_number_sealed),UPDATE(id_number_sealed) ON TABLE registry.persons TO gongji_keys;

GRANT UPDATE(id_number_index) ON TABLE registry.persons TO gongji_keys;

GRANT SELECT,INSERT,UPDATE ON TABLE registry.policy_epochs TO gongji_binding;

GRANT SELECT,INSERT ON TABLE registry.reconciliation_differences TO gongji_binding;

GRANT SELECT,INSERT,DELETE ON TABLE registry.reconciliation_lines TO gongji_binding;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE registry.reconciliations TO gongji_binding;

GRANT SELECT,INSERT ON TABLE registry.region_policies TO gongji_binding;

GRANT SELECT ON TABLE registry.sealing_keys TO gongji_binding;
GRANT SELECT,INSERT,UPDATE ON TABLE registry.sealing_keys TO gongji_keys;

GRANT SELECT,INSERT ON TABLE registry.transfer_acceptances TO gongji_binding;

GRANT SELECT ON TABLE registry.settlement_acceptances TO gongji_settlement;
GRANT SELECT ON TABLE registry.settlement_acceptances TO gongji_audit;

GRANT SELECT ON TABLE registry.settlement_bindings TO gongji_settlement;
GRANT SELECT ON TABLE registry.settlement_bindings TO gongji_audit;

GRANT SELECT ON TABLE registry.settlement_enrolments TO gongji_settlement;
GRANT SELECT ON TABLE registry.settlement_enrolments TO gongji_audit;

GRANT SELECT ON TABLE registry.settlement_institutions TO gongji_settlement;
GRANT SELECT ON TABLE registry.settlement_institutions TO gongji_audit;

GRANT SELECT ON TABLE registry.settlement_kinship_links TO gongji_settlement;
GRANT SELECT ON TABLE registry.settlement_kinship_links TO gongji_audit;

GRANT SELECT ON TABLE registry.settlement_policies TO gongji_settlement;
GRANT SELECT ON TABLE registry.settlement_policies TO gongji_audit;

GRANT SELECT ON TABLE registry.settlement_policy_epochs TO gongji_settlement;
GRANT SELECT ON TABLE registry.settlement_policy_epochs TO gongji_audit;
