-- What the binding service may see of the ledger, to tell a family why money cannot be shared: balances, and what bindings
-- have used. Views alone; it can still read no account, entry or decision, and writes nothing.

CREATE VIEW ledger.binding_balances AS
SELECT province, person_id, current_year_fen, prior_years_fen, wallet_fen, balances_year
FROM ledger.accounts;

CREATE VIEW ledger.binding_usage AS
SELECT province, person_id, binding_id, movement_id, contra_fen
FROM ledger.entries
WHERE binding_id IS NOT NULL;

GRANT SELECT ON ledger.binding_balances, ledger.binding_usage TO gongji_binding;
