-- What PostgreSQL is asked before and after queues are drained.

-- name: deadlocks
-- How many circles of waiting transactions it has had to break.
SELECT deadlocks
FROM pg_stat_database
WHERE datname = current_database();

-- name: checkpoint
-- Everything that was written until now is on the disk.
CHECKPOINT;
