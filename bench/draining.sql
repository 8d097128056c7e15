-- What PostgreSQL is asked before and after queues are drained.

-- name: deadlocks
-- How many circles of waiting transactions it has had to break.
SELECT deadlocks
FROM pg_stat_database
WHERE datname = current_database();

-- name: sessions
-- How many sessions workers have; one that is gone has told what it had to tell.
SELECT count(*)
FROM pg_stat_activity
WHERE
    datname = current_database()
    AND application_name LIKE 'gongji%';

-- name: checkpoint
-- Everything that was written until now is on the disk.
CHECKPOINT;
