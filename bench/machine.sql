-- What PostgreSQL says of itself.

-- name: checkpoints
-- How many checkpoints there have been, by the clock and asked for.
SELECT num_timed + num_requested
FROM pg_stat_checkpointer;

-- name: checkpoints_before_17
-- The same where the background writer still counts them.
SELECT checkpoints_timed + checkpoints_req
FROM pg_stat_bgwriter;

-- name: log_segments
-- How many segments of the log there are, written or to be written.
SELECT count(*)
FROM pg_ls_waldir();

-- name: settings
-- The version, what durability rests on, and what speed depends on, as they hold in this session; of huge pages it tells since 17.
SELECT name, current_setting(name, true) AS setting
FROM unnest(ARRAY[
    'server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method',
    'shared_buffers', 'huge_pages_status', 'max_wal_size', 'min_wal_size', 'checkpoint_timeout'
]) AS name;
