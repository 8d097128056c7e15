-- What is done with the books after a payment, off its way: movements are sealed into a chain, and told as events.

-- The content of what was written under these ids, as one digest: every field of every entry and decision counts, in an order
-- that does not depend on how rows lie.
CREATE FUNCTION ledger.digest(of_province smallint, ids uuid []) RETURNS bytea
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
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

-- The chain of a province: each seal covers what some pages named, and its hash covers the seal before. A changed, added or
-- removed row no longer has the digest; a changed digest breaks the chain. The order of the seals is one in which every
-- movement comes after those it depends on.
CREATE TABLE ledger.seals (
    province smallint NOT NULL,
    seal_no bigint NOT NULL,
    ids uuid [] NOT NULL,
    digest bytea NOT NULL,
    hash bytea NOT NULL,
    sealed_at timestamptz NOT NULL,
    CONSTRAINT seals_pkey PRIMARY KEY (province, seal_no),
    CONSTRAINT seals_count_from_one CHECK (seal_no >= 1),
    CONSTRAINT a_seal_covers_something CHECK (cardinality(ids) > 0),
    CONSTRAINT hashes_are_sha_256 CHECK (length(digest) = 32 AND length(hash) = 32)
);

-- The hash of a seal on top of the one before it.
CREATE FUNCTION ledger.chained(previous bytea, digest bytea, seal_no bigint) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
SELECT sha256(coalesce(previous, ''::bytea) || digest || int8send(seal_no))
$$;

-- Up to which seal the events of a province have been published.
CREATE TABLE ledger.relayed (
    province smallint NOT NULL,
    seal_no bigint NOT NULL,
    CONSTRAINT relayed_pkey PRIMARY KEY (province)
);

-- What became of bindings, to be told as events; gone once it has been told.
CREATE TABLE registry.notices (
    province smallint NOT NULL,
    notice_no bigint GENERATED ALWAYS AS IDENTITY,
    event text NOT NULL,
    at timestamptz NOT NULL,
    binding_id uuid NOT NULL,
    payer_id text NOT NULL,
    beneficiary_province smallint NOT NULL,
    beneficiary_id text NOT NULL,
    valid_from date NOT NULL,
    valid_until date,
    cause text,
    CONSTRAINT notices_pkey PRIMARY KEY (province, notice_no),
    CONSTRAINT event_is_known CHECK (event IN ('binding.made', 'binding.ended'))
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Written by the table itself, whoever makes or ends a binding, so that no way of ending one can forget it.
CREATE FUNCTION registry.note_binding() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
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
CREATE TRIGGER a_binding_is_noted AFTER INSERT ON registry.bindings
FOR EACH ROW EXECUTE FUNCTION registry.note_binding();
CREATE TRIGGER an_end_is_noted AFTER UPDATE OF ended_at ON registry.bindings
FOR EACH ROW WHEN (NEW.ended_at IS DISTINCT FROM OLD.ended_at) EXECUTE FUNCTION registry.note_binding();

-- Whoever keeps the books reads them, and moves nothing.
GRANT USAGE ON SCHEMA ledger, registry TO gongji_bookkeeping;
GRANT SELECT ON ledger.entries, ledger.decisions, ledger.months TO gongji_bookkeeping;
GRANT SELECT (province, transfer_id) ON ledger.transfers TO gongji_bookkeeping;
GRANT SELECT, DELETE ON ledger.pages TO gongji_bookkeeping;
GRANT SELECT, INSERT ON ledger.seals TO gongji_bookkeeping;
GRANT SELECT, INSERT ON ledger.relayed TO gongji_bookkeeping;
GRANT UPDATE (seal_no) ON ledger.relayed TO gongji_bookkeeping;
GRANT SELECT, DELETE ON registry.notices TO gongji_bookkeeping;
GRANT EXECUTE ON FUNCTION ledger.prepare_month(date) TO gongji_bookkeeping;
GRANT SELECT ON ledger.seals, ledger.relayed TO gongji_audit;
