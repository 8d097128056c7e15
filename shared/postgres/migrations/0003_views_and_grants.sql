-- Where the two services meet: named views of the registry without a name or an ID number in them; and who may do what.

CREATE VIEW registry.settlement_enrolments AS
SELECT province, person_id, region_code, insurance, status, account_frozen
FROM registry.persons
WHERE moved_to IS NULL;

CREATE VIEW registry.settlement_institutions AS
SELECT institution_id, kind, status, amqp_user
FROM registry.institutions;

CREATE VIEW registry.settlement_bindings AS
SELECT province, binding_id, payer_id, beneficiary_province, beneficiary_id, valid_from, valid_until, annual_limit_fen, bound_at
FROM registry.bindings;

CREATE VIEW registry.settlement_kinship_links AS
SELECT province, shown_id
FROM registry.kinship_links
WHERE ended_at IS NULL;

CREATE VIEW registry.settlement_policies AS
SELECT province, code, version, effective_from, policy
FROM registry.region_policies;

CREATE VIEW registry.settlement_policy_epochs AS
SELECT province, epoch
FROM registry.policy_epochs;

GRANT USAGE ON SCHEMA registry TO gongji_settlement, gongji_binding, gongji_audit;
GRANT USAGE ON SCHEMA ledger TO gongji_settlement, gongji_audit;

GRANT SELECT ON
registry.settlement_enrolments,
registry.settlement_institutions,
registry.settlement_bindings,
registry.settlement_kinship_links,
registry.settlement_policies,
registry.settlement_policy_epochs
TO gongji_settlement, gongji_audit;

-- The worker moves balances, and only adds to what has happened.
GRANT SELECT, INSERT ON ledger.accounts TO gongji_settlement;
GRANT UPDATE (current_year_fen, prior_years_fen, wallet_fen) ON ledger.accounts TO gongji_settlement;
GRANT SELECT, INSERT ON ledger.entries, ledger.decisions TO gongji_settlement;

-- The binding service keeps the registry. History is kept for ever: it deletes nothing but old idempotency keys.
GRANT SELECT, INSERT, UPDATE ON
registry.persons,
registry.institutions,
registry.bindings,
registry.kinship_links,
registry.policy_epochs
TO gongji_binding;
GRANT SELECT, INSERT ON registry.region_policies TO gongji_binding;
GRANT SELECT, INSERT, DELETE ON registry.idempotency_keys TO gongji_binding;

-- The auditor reads the ledger and what the worker could see.
GRANT SELECT ON ledger.accounts, ledger.entries, ledger.decisions TO gongji_audit;
