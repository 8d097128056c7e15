-- A line from which all processes of the engine begin at once: an advisory lock that they wait for.

-- name: draw
-- Nobody crosses it until it is lifted, which the end of this session does too.
SELECT pg_advisory_lock($1);

-- name: stand_at
-- Returns when it is lifted.
SELECT pg_advisory_lock_shared($1);

-- name: standing_at
-- How many stand there.
SELECT count(*)
FROM pg_locks
WHERE locktype = 'advisory' AND NOT granted AND classid = 0 AND objid = $1::bigint::oid AND objsubid = 1;

-- name: lift
-- All go on.
SELECT pg_advisory_unlock($1);
