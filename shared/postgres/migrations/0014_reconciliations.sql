-- A whole day of an institution beside ours, from a file (对账): the upload, its lines until they are compared, the differences.

CREATE TABLE registry.reconciliations (
    province smallint NOT NULL,
    reconciliation_id uuid NOT NULL,
    institution_id text NOT NULL,
    insured_region text NOT NULL,
    date date NOT NULL,
    state text NOT NULL,
    lines_read integer NOT NULL,
    started_at timestamptz NOT NULL,
    started_by text NOT NULL,
    progress_at timestamptz NOT NULL,
    compared_at timestamptz,
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
    CONSTRAINT reconciliations_pkey PRIMARY KEY (province, reconciliation_id),
    CONSTRAINT province_is_the_regions_first_two_digits CHECK (left(insured_region, 2)::smallint = province),
    CONSTRAINT state_is_known CHECK (state IN ('reading', 'balanced', 'differs', 'abandoned')),
    CONSTRAINT a_result_is_recorded_whole CHECK (
        num_nonnulls(
            compared_at, our_count, our_account_fen, our_mutual_aid_fen, our_refunded_fen, their_count, their_account_fen,
            their_mutual_aid_fen, missing_here, missing_there, different
        ) = CASE WHEN state IN ('balanced', 'differs') THEN 11 ELSE 0 END
    ),
    CONSTRAINT balanced_is_without_a_difference CHECK (
        (state = 'balanced') = (missing_here + missing_there + different = 0)
    )
);

CREATE INDEX reconciliations_by_institution ON registry.reconciliations (institution_id, reconciliation_id);
CREATE INDEX reconciliations_being_read ON registry.reconciliations (progress_at) WHERE state = 'reading';

-- `line` is the line's number in the file, so that a fault can be named by it.
CREATE TABLE registry.reconciliation_lines (
    province smallint NOT NULL,
    reconciliation_id uuid NOT NULL,
    line integer NOT NULL,
    request_id text NOT NULL,
    account_fen bigint NOT NULL,
    mutual_aid_fen bigint NOT NULL,
    CONSTRAINT reconciliation_lines_pkey PRIMARY KEY (province, reconciliation_id, line)
);

-- Written once, when a file is compared: a later refund does not change it. In the order of characters, whatever the
-- database's own order is, so that both ways to reconcile list alike.
CREATE TABLE registry.reconciliation_differences (
    province smallint NOT NULL,
    reconciliation_id uuid NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    our_movement_id uuid,
    our_account_fen bigint,
    our_mutual_aid_fen bigint,
    their_account_fen bigint,
    their_mutual_aid_fen bigint,
    CONSTRAINT reconciliation_differences_pkey PRIMARY KEY (province, reconciliation_id, request_id),
    CONSTRAINT kind_says_which_sides_there_are CHECK (
        CASE kind
            WHEN 'missing_here' THEN num_nonnulls(our_movement_id, our_account_fen, our_mutual_aid_fen) = 0
            AND num_nulls(their_account_fen, their_mutual_aid_fen) = 0
            WHEN 'missing_there' THEN num_nulls(our_movement_id, our_account_fen, our_mutual_aid_fen) = 0
            AND num_nonnulls(their_account_fen, their_mutual_aid_fen) = 0
            WHEN 'different' THEN num_nulls(
                our_movement_id, our_account_fen, our_mutual_aid_fen, their_account_fen, their_mutual_aid_fen
            ) = 0
            ELSE false
        END
    )
);

-- An institution's movements, for its own reconciliation: no person in them.
CREATE VIEW ledger.binding_day_lines AS
SELECT
    province,
    institution_id,
    request_id,
    movement_id,
    kind,
    sum(contra_fen)::bigint AS account_fen,
    coalesce(sum(contra_fen) FILTER (WHERE binding_id IS NOT NULL), 0)::bigint AS mutual_aid_fen
FROM ledger.entries
WHERE kind IN ('settlement', 'refund', 'refund_reversal')
GROUP BY province, institution_id, request_id, movement_id, kind;

GRANT SELECT ON ledger.binding_day_lines TO gongji_binding;
-- A file that is refused leaves nothing, and lines go once they are compared. A difference stays as it was found.
GRANT SELECT, INSERT, UPDATE, DELETE ON registry.reconciliations TO gongji_binding;
GRANT SELECT, INSERT, DELETE ON registry.reconciliation_lines TO gongji_binding;
GRANT SELECT, INSERT ON registry.reconciliation_differences TO gongji_binding;
