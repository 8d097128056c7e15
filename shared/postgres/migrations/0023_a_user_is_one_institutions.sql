-- Who may send as an institution is said by its user at the broker: two institutions with one user would be one sender to the worker.
-- Where it is refused: SELECT amqp_user, array_agg(institution_id) FROM registry.institutions GROUP BY 1 HAVING count(*) > 1,
-- and give each institution its own.
CREATE UNIQUE INDEX one_institution_per_amqp_user ON registry.institutions (amqp_user)
WHERE amqp_user IS NOT NULL;
