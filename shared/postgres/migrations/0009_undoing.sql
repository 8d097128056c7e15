-- What comes after a payment: refunds and cancels.

-- An entry that gives back, or takes back again, names the movement that it undoes a part of. What a binding has used is
-- counted in the year of the original.
ALTER TABLE ledger.entries ADD COLUMN original_id uuid;

ALTER TABLE ledger.entries DROP CONSTRAINT kind_is_known;
ALTER TABLE ledger.entries ADD CONSTRAINT kind_is_known CHECK (
    kind IN (
        'settlement', 'credit', 'transfer', 'arrival', 'return', 'rollover',
        'refund', 'refund_reversal', 'credit_reversal', 'transfer_reversal'
    )
) NOT VALID;
ALTER TABLE ledger.entries ADD CONSTRAINT what_undoes_names_its_original CHECK (
    (kind IN ('refund', 'refund_reversal', 'credit_reversal', 'transfer_reversal')) = (original_id IS NOT NULL)
) NOT VALID;
ALTER TABLE ledger.entries ADD CONSTRAINT refund_only_gives CHECK (
    kind <> 'refund'
    OR (contra = 'payable' AND contra_fen < 0 AND current_year_fen >= 0 AND prior_years_fen >= 0 AND wallet_fen >= 0)
) NOT VALID;
ALTER TABLE ledger.entries ADD CONSTRAINT refund_reversal_only_takes CHECK (
    kind <> 'refund_reversal'
    OR (contra = 'payable' AND contra_fen > 0 AND current_year_fen <= 0 AND prior_years_fen <= 0 AND wallet_fen <= 0)
) NOT VALID;
ALTER TABLE ledger.entries ADD CONSTRAINT credit_reversal_only_takes CHECK (
    kind <> 'credit_reversal'
    OR (contra = 'contribution' AND contra_fen > 0 AND current_year_fen <= 0 AND prior_years_fen <= 0 AND wallet_fen = 0)
) NOT VALID;

-- What is left to give back of a settlement that something was given back of: one row beside each of its entries, made of
-- the entry itself. However many refunds and cancels there are, they never give back more than was paid.
CREATE TABLE ledger.remainders (
    province smallint NOT NULL,
    movement_id uuid NOT NULL,
    person_id text NOT NULL,
    current_year_fen bigint NOT NULL,
    prior_years_fen bigint NOT NULL,
    wallet_fen bigint NOT NULL,
    CONSTRAINT remainders_pkey PRIMARY KEY (province, movement_id, person_id),
    CONSTRAINT never_more_back_than_was_paid CHECK (
        current_year_fen >= 0 AND prior_years_fen >= 0 AND wallet_fen >= 0
    )
) WITH (fillfactor = 80);

-- Requests that were cancelled, by their name. One that came before its original is also a decision, with the operation
-- `blocked`, so that the original can never be decided.
CREATE TABLE ledger.cancellations (
    province smallint NOT NULL,
    institution_id text NOT NULL,
    request_id text NOT NULL,
    cancelled_by text NOT NULL,
    cancelled_at timestamptz NOT NULL,
    CONSTRAINT one_cancellation_per_request PRIMARY KEY (province, institution_id, request_id)
);

ALTER TABLE ledger.decisions DROP CONSTRAINT outcome_is_stored;
ALTER TABLE ledger.decisions ADD CONSTRAINT outcome_is_stored CHECK (
    outcome IN (
        'settled', 'partial', 'declined', 'credited', 'transferred', 'pending', 'refunded', 'cancelled', 'blocked'
    )
) NOT VALID;
ALTER TABLE ledger.decisions DROP CONSTRAINT settled_has_no_reason;
ALTER TABLE ledger.decisions ADD CONSTRAINT only_refusals_have_a_reason CHECK (
    (outcome IN ('declined', 'partial')) = (reason IS NOT NULL)
) NOT VALID;
ALTER TABLE ledger.decisions ADD CONSTRAINT blocked_is_a_tombstone CHECK (
    (operation = 'blocked') = (outcome = 'blocked') AND (operation <> 'blocked' OR movement_id IS NULL)
) NOT VALID;
ALTER TABLE ledger.decisions DROP CONSTRAINT refusal_has_a_reason;

-- A transfer that was cancelled after it had arrived: taken from the wallet again, and back with its giver.
ALTER TABLE ledger.transfers DROP CONSTRAINT state_is_known;
ALTER TABLE ledger.transfers ADD CONSTRAINT state_is_known CHECK (
    state IN ('pending', 'accepted', 'arrived', 'returned', 'cancelled')
) NOT VALID;
ALTER TABLE ledger.transfers DROP CONSTRAINT a_transfer_is_closed_whole;
ALTER TABLE ledger.transfers ADD CONSTRAINT a_transfer_is_closed_whole CHECK (
    (state IN ('arrived', 'returned', 'cancelled')) = (closed_at IS NOT NULL)
    AND (closed_at IS NULL) = (closed_movement_id IS NULL)
) NOT VALID;

-- A day of an institution, for its reconciliation: rows lie in the order of time, so a summary of each stretch suffices.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX entries_by_time ON ledger.entries USING brin (moved_at) WITH (pages_per_range = 16);

-- What a binding has used counts in the year of the payment, also where it is given back in a later one.
CREATE OR REPLACE VIEW ledger.binding_usage AS
SELECT
    province, person_id, binding_id, movement_id, contra_fen, coalesce(original_id, movement_id) AS counted_from
FROM ledger.entries
WHERE binding_id IS NOT NULL;

-- A refund that was cancelled is a payment again.
CREATE OR REPLACE VIEW ledger.binding_entries AS
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

GRANT SELECT, INSERT ON ledger.remainders TO gongji_settlement;
GRANT UPDATE (current_year_fen, prior_years_fen, wallet_fen) ON ledger.remainders TO gongji_settlement;
GRANT SELECT, INSERT ON ledger.cancellations TO gongji_settlement;
GRANT SELECT ON ledger.remainders, ledger.cancellations TO gongji_audit;
