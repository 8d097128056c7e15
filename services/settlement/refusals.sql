-- What senders were refused, for whoever watches over them.

-- name: add
-- Who tried to send what they may not.
INSERT INTO ledger.refusals (province, refused_at, reason, amqp_user, institution_id, request_id, operation)
SELECT refused.province, $1::timestamptz, refused.reason, refused.amqp_user, refused.institution_id, refused.request_id, refused.operation
FROM unnest($2::smallint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
    AS refused (province, reason, amqp_user, institution_id, request_id, operation);
