-- The ledger: accounts, the entries that make their balances, and the decisions that made the entries. Owned by the
-- settlement worker, which may add entries and decisions but never change or delete one.

CREATE SCHEMA ledger;

-- One row a person. The balances carry no index and rows leave room, so that a debit is a HOT update.
CREATE TABLE ledger.accounts (
    province smallint NOT NULL,
    person_id text NOT NULL,
    current_year_fen bigint NOT NULL DEFAULT 0,
    prior_years_fen bigint NOT NULL DEFAULT 0,
    wallet_fen bigint NOT NULL DEFAULT 0,
    CONSTRAINT accounts_pkey PRIMARY KEY (province, person_id),
    CONSTRAINT current_year_is_never_negative CHECK (current_year_fen >= 0),
    CONSTRAINT prior_years_are_never_negative CHECK (prior_years_fen >= 0),
    CONSTRAINT wallet_is_never_negative CHECK (wallet_fen >= 0)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

-- A movement is the entries that share a movement_id, one a person. Each entry names both sides: what the person's
-- funds gained, and what the institution's contra account took, so every entry, and every movement, sums to zero.
CREATE TABLE ledger.entries (
    province smallint NOT NULL,
    movement_id uuid NOT NULL,
    person_id text NOT NULL,
    kind text NOT NULL,
    institution_id text NOT NULL,
    request_id text NOT NULL,
    binding_id uuid,
    current_year_fen bigint NOT NULL,
    prior_years_fen bigint NOT NULL,
    wallet_fen bigint NOT NULL,
    contra text NOT NULL,
    contra_fen bigint NOT NULL,
    moved_at timestamptz NOT NULL,
    CONSTRAINT entries_pkey PRIMARY KEY (province, movement_id, person_id),
    CONSTRAINT entry_conserves_money CHECK (current_year_fen + prior_years_fen + wallet_fen + contra_fen = 0),
    CONSTRAINT kind_is_known CHECK (kind IN ('settlement', 'credit')),
    CONSTRAINT contra_is_known CHECK (contra IN ('payable', 'contribution')),
    CONSTRAINT settlement_only_takes CHECK (
        kind <> 'settlement'
        OR (contra = 'payable' AND contra_fen > 0 AND current_year_fen <= 0 AND prior_years_fen <= 0 AND wallet_fen <= 0)
    ),
    CONSTRAINT credit_only_gives CHECK (
        kind <> 'credit'
        OR (contra = 'contribution' AND contra_fen < 0 AND current_year_fen >= 0 AND prior_years_fen >= 0 AND wallet_fen = 0)
    ),
    CONSTRAINT wallet_money_is_never_shared CHECK (binding_id IS NULL OR wallet_fen = 0)
);

-- A person's movements, newest last; also what a binding has used of its yearly limit.
CREATE INDEX entries_by_person ON ledger.entries (province, person_id, movement_id);

-- One decision a request, for good. `request` is its canonical content, `answer` what was sent, `record` the candidates
-- as the rule saw them.
CREATE TABLE ledger.decisions (
    province smallint NOT NULL,
    institution_id text NOT NULL,
    request_id text NOT NULL,
    operation text NOT NULL,
    outcome text NOT NULL,
    reason text,
    movement_id uuid,
    request jsonb NOT NULL,
    record jsonb NOT NULL,
    answer jsonb NOT NULL,
    decided_at timestamptz NOT NULL,
    CONSTRAINT one_decision_per_request PRIMARY KEY (province, institution_id, request_id),
    CONSTRAINT declined_moves_nothing CHECK (outcome <> 'declined' OR movement_id IS NULL),
    CONSTRAINT settled_has_no_reason CHECK (outcome NOT IN ('settled', 'credited') OR reason IS NULL),
    CONSTRAINT refusal_has_a_reason CHECK (outcome NOT IN ('declined', 'partial') OR reason IS NOT NULL),
    CONSTRAINT outcome_is_stored CHECK (outcome IN ('settled', 'partial', 'declined', 'credited'))
);
