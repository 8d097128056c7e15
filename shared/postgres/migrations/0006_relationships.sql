-- Bindings that end by themselves, and what clerks and operators did.

-- A binding that ended by itself says why on its last day only; a later day finds it over.
CREATE OR REPLACE VIEW registry.settlement_bindings AS
SELECT
    province,
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
        WHEN
            end_cause IN ('payer_left_employee_insurance', 'payer_moved', 'beneficiary_moved')
            AND valid_until = (ended_at AT TIME ZONE 'Asia/Shanghai')::date
            THEN end_cause
    END AS closed_cause
FROM registry.bindings;

-- Written once for each time that a clerk or an operator is let through. It belongs to the door, not to a cell: an act
-- may name people of two provinces.
CREATE TABLE registry.acts (
    act_id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    subject text NOT NULL,
    role text NOT NULL,
    action text NOT NULL,
    person_ids text[] NOT NULL,
    thing_id text,
    CONSTRAINT acts_pkey PRIMARY KEY (act_id),
    CONSTRAINT acts_are_those_of_clerks_and_operators CHECK (role IN ('clerk', 'operator'))
);

CREATE INDEX acts_by_person ON registry.acts USING gin (person_ids);
CREATE INDEX acts_by_time ON registry.acts (at);

GRANT SELECT, INSERT ON registry.acts TO gongji_binding;
GRANT SELECT ON registry.acts TO gongji_audit;
