-- Who tried to send what they may not: written down for good by the worker, which can neither change nor delete it.
CREATE TABLE ledger.refusals (
    province smallint NOT NULL,
    refusal_id bigint GENERATED ALWAYS AS IDENTITY,
    refused_at timestamptz NOT NULL,
    reason text NOT NULL,
    -- As whom the broker knew the sender; NULL where the message did not say.
    amqp_user text,
    -- Whom the message said it was from.
    institution_id text NOT NULL,
    request_id text NOT NULL,
    operation text NOT NULL,
    CONSTRAINT one_row_per_refusal PRIMARY KEY (province, refusal_id)
);

GRANT INSERT ON ledger.refusals TO gongji_settlement;
GRANT SELECT ON ledger.refusals TO gongji_audit;
