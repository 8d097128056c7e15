-- What the binding service may see of a decision, to explain it over HTTP to the person whom it is about: no credential, and no
-- contra account.

CREATE VIEW ledger.binding_decisions AS
SELECT
    decision.province,
    decision.decision_id,
    decision.institution_id,
    decision.request_id,
    decision.operation,
    decision.outcome,
    decision.reason,
    coalesce(
        decision.request ->> 'person_id', decision.request ->> 'from_person_id', decision.record -> 'seen' ->> 'patient_id'
    ) AS subject_id,
    decision.request - 'credential' AS request,
    decision.record,
    decision.answer,
    decision.decided_at,
    cancellation.cancelled_by
FROM ledger.decisions AS decision
LEFT JOIN ledger.cancellations AS cancellation
    ON cancellation.province = decision.province
    AND cancellation.institution_id = decision.institution_id
    AND cancellation.request_id = decision.request_id
WHERE decision.operation <> 'blocked';

CREATE VIEW ledger.binding_movements AS
SELECT
    province, movement_id, person_id, kind, request_id, binding_id, current_year_fen, prior_years_fen, wallet_fen, original_id,
    moved_at
FROM ledger.entries;

GRANT SELECT ON ledger.binding_decisions, ledger.binding_movements TO gongji_binding;
