-- What the binding service may know of the ledger: what was paid and given back, for the people on both sides of a
-- binding. No request id, no contra account, no contribution; whoever lists payments needs none of them.

CREATE VIEW ledger.binding_entries AS
SELECT
    province,
    movement_id,
    person_id,
    kind,
    institution_id,
    binding_id,
    current_year_fen + prior_years_fen AS account_fen,
    wallet_fen,
    moved_at
FROM ledger.entries
WHERE kind IN ('settlement', 'refund');

GRANT SELECT ON ledger.binding_entries TO gongji_binding;
