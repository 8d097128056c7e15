-- The wallet: transfers between relatives; and the turn of the year.

-- Which calendar year an account's current-year money is of. In a later year it counts as earlier years' money at once;
-- a rollover entry says so when the account is next written. Every balance there is so far is of 2026.
ALTER TABLE ledger.accounts ADD COLUMN balances_year smallint NOT NULL DEFAULT 2026;
-- squawk-ignore ban-drop-default
ALTER TABLE ledger.accounts ALTER COLUMN balances_year DROP DEFAULT;

-- A transfer takes money from the giver's personal account and holds it in transit. It arrives in the receiver's wallet
-- once it is accepted, or returns. The row lies with the giver; `closed_movement_id` lies with whom the money went to.
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
    made_at timestamptz NOT NULL,
    accept_by timestamptz NOT NULL,
    closed_at timestamptz,
    closed_movement_id uuid,
    CONSTRAINT transfers_pkey PRIMARY KEY (province, transfer_id),
    CONSTRAINT nobody_gives_to_themselves CHECK (province <> to_province OR from_person_id <> to_person_id),
    CONSTRAINT something_is_given CHECK (
        current_year_fen >= 0 AND prior_years_fen >= 0 AND current_year_fen + prior_years_fen > 0
    ),
    CONSTRAINT state_is_known CHECK (state IN ('pending', 'accepted', 'arrived', 'returned')),
    CONSTRAINT a_transfer_is_closed_whole CHECK (
        (state IN ('arrived', 'returned')) = (closed_at IS NOT NULL)
        AND (closed_at IS NULL) = (closed_movement_id IS NULL)
    )
) WITH (fillfactor = 80);

CREATE INDEX transfers_by_giver ON ledger.transfers (province, from_person_id, transfer_id);
CREATE INDEX transfers_by_receiver ON ledger.transfers (to_province, to_person_id, transfer_id);
CREATE INDEX open_transfers_by_receiver ON ledger.transfers (to_province, to_person_id)
WHERE state IN ('pending', 'accepted');
CREATE INDEX open_transfers_by_deadline ON ledger.transfers (accept_by) WHERE state IN ('pending', 'accepted');

-- A receiver's yes. The worker reads it under the authority lock; from then on the money is theirs.
CREATE TABLE registry.transfer_acceptances (
    province smallint NOT NULL,
    transfer_id uuid NOT NULL,
    accepted_at timestamptz NOT NULL,
    accepted_by text NOT NULL,
    CONSTRAINT transfer_acceptances_pkey PRIMARY KEY (province, transfer_id)
);

-- One row a finished run of the rollover: who, when, how much.
CREATE TABLE ledger.rollovers (
    rollover_id bigint GENERATED ALWAYS AS IDENTITY,
    year smallint NOT NULL,
    accounts bigint NOT NULL,
    moved_fen bigint NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    run_by text NOT NULL DEFAULT session_user,
    CONSTRAINT rollovers_pkey PRIMARY KEY (rollover_id)
);

-- Entries that no request asked for carry no request's name.
-- squawk-ignore ban-drop-not-null
ALTER TABLE ledger.entries ALTER COLUMN institution_id DROP NOT NULL;
-- squawk-ignore ban-drop-not-null
ALTER TABLE ledger.entries ALTER COLUMN request_id DROP NOT NULL;
ALTER TABLE ledger.entries DROP CONSTRAINT kind_is_known;
ALTER TABLE ledger.entries ADD CONSTRAINT kind_is_known CHECK (
    kind IN ('settlement', 'credit', 'transfer', 'arrival', 'return', 'rollover')
) NOT VALID;
ALTER TABLE ledger.entries DROP CONSTRAINT contra_is_known;
ALTER TABLE ledger.entries ADD CONSTRAINT contra_is_known CHECK (
    contra IN ('payable', 'contribution', 'in_transit', 'self')
) NOT VALID;
ALTER TABLE ledger.entries ADD CONSTRAINT a_request_has_its_name CHECK (
    (kind IN ('arrival', 'return', 'rollover')) = (institution_id IS NULL)
    AND (institution_id IS NULL) = (request_id IS NULL)
) NOT VALID;
ALTER TABLE ledger.entries ADD CONSTRAINT transfer_only_takes CHECK (
    kind <> 'transfer'
    OR (contra = 'in_transit' AND contra_fen > 0 AND current_year_fen <= 0 AND prior_years_fen <= 0 AND wallet_fen = 0)
) NOT VALID;
ALTER TABLE ledger.entries ADD CONSTRAINT arrival_only_fills_the_wallet CHECK (
    kind <> 'arrival'
    OR (contra = 'in_transit' AND current_year_fen = 0 AND prior_years_fen = 0 AND wallet_fen > 0)
) NOT VALID;
ALTER TABLE ledger.entries ADD CONSTRAINT return_only_gives CHECK (
    kind <> 'return'
    OR (contra = 'in_transit' AND contra_fen < 0 AND current_year_fen >= 0 AND prior_years_fen >= 0 AND wallet_fen = 0)
) NOT VALID;
ALTER TABLE ledger.entries ADD CONSTRAINT rollover_only_ages CHECK (
    kind <> 'rollover'
    OR (contra = 'self' AND contra_fen = 0 AND current_year_fen < 0 AND wallet_fen = 0)
) NOT VALID;

ALTER TABLE ledger.decisions DROP CONSTRAINT outcome_is_stored;
ALTER TABLE ledger.decisions ADD CONSTRAINT outcome_is_stored CHECK (
    outcome IN ('settled', 'partial', 'declined', 'credited', 'transferred', 'pending')
) NOT VALID;
ALTER TABLE ledger.decisions DROP CONSTRAINT settled_has_no_reason;
ALTER TABLE ledger.decisions ADD CONSTRAINT settled_has_no_reason CHECK (
    outcome NOT IN ('settled', 'credited', 'transferred', 'pending') OR reason IS NULL
) NOT VALID;

CREATE OR REPLACE VIEW registry.settlement_bindings AS
SELECT
    province, binding_id, payer_id, beneficiary_province, beneficiary_id, valid_from, valid_until, annual_limit_fen,
    bound_at, wallet, auto_accept
FROM registry.bindings;

CREATE VIEW registry.settlement_acceptances AS
SELECT province, transfer_id, accepted_at
FROM registry.transfer_acceptances;

-- What the binding service sees of transfers: no request, no institution.
CREATE VIEW ledger.binding_transfers AS
SELECT
    province, transfer_id, from_person_id, to_province, to_person_id, current_year_fen + prior_years_fen AS amount_fen,
    state, made_at, accept_by, closed_at
FROM ledger.transfers;

GRANT USAGE ON SCHEMA ledger TO gongji_binding;
GRANT SELECT ON ledger.binding_transfers TO gongji_binding;
GRANT SELECT, INSERT ON registry.transfer_acceptances TO gongji_binding;

GRANT UPDATE (balances_year) ON ledger.accounts TO gongji_settlement;
GRANT SELECT, INSERT ON ledger.transfers TO gongji_settlement;
GRANT UPDATE (state, closed_at, closed_movement_id) ON ledger.transfers TO gongji_settlement;
GRANT SELECT, INSERT ON ledger.rollovers TO gongji_settlement;
GRANT SELECT ON registry.settlement_acceptances TO gongji_settlement;

GRANT SELECT ON ledger.transfers, ledger.rollovers, registry.settlement_acceptances TO gongji_audit;
