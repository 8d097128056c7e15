-- With which keys an institution signs its requests; none: it does not have to.
ALTER TABLE registry.institutions
ADD COLUMN signing_keys jsonb NOT NULL DEFAULT '[]'
CONSTRAINT signing_keys_are_a_list CHECK (jsonb_typeof(signing_keys) = 'array');

CREATE OR REPLACE VIEW registry.settlement_institutions AS
SELECT
    institution_id,
    kind,
    status,
    amqp_user,
    signing_keys
FROM registry.institutions;
