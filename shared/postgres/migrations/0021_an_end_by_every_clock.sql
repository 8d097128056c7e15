-- An end that was acknowledged is an end for every worker, whatever its clock says.

-- One that was due when it was written down is not shown any more: by a clock that is behind, the day before would not be over,
-- and the binding would still pay. What ended by itself is shown with its cause, as before, and pays nothing.
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
FROM registry.bindings
WHERE
    ended_at IS NULL
    OR valid_until > (ended_at AT TIME ZONE 'Asia/Shanghai')::date
    OR end_cause IN ('payer_left_employee_insurance', 'payer_moved', 'beneficiary_moved');
