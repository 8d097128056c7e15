-- What PostgreSQL has counted while queues were drained.

-- name: deadlocks
-- How many circles of waiting transactions it has had to break.
SELECT deadlocks
FROM pg_stat_database
WHERE datname = current_database();
