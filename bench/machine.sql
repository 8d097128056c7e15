-- What PostgreSQL says of itself.

-- name: settings
-- The version, what durability rests on, and what speed depends on, as they hold in this session.
SELECT name, current_setting(name) AS setting
FROM unnest(ARRAY[
    'server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method',
    'shared_buffers', 'max_wal_size', 'checkpoint_timeout'
]) AS name;
