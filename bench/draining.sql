-- What PostgreSQL is told before a figure begins.

-- name: checkpoint
-- Everything that was written until now is on the disk.
CHECKPOINT;
