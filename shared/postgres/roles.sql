-- The database roles. Each is a group that a login joins; what each may do is granted in the migrations.
-- Needs CREATEROLE. `gongji migrate` runs it; an administrator may run it beforehand instead.
DO $$
DECLARE
    role_name text;
    acting text := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    FOREACH role_name IN ARRAY ARRAY[
        'gongji_migrate', 'gongji_settlement', 'gongji_binding', 'gongji_bookkeeping', 'gongji_audit', 'gongji_keys'
    ]
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN NULL; -- another database's migration was faster
            END;
        END IF;
        -- Since PostgreSQL 16 whoever has made a role is its member, and yet cannot act as it.
        IF NOT pg_has_role(current_user, role_name, acting) THEN
            BEGIN
                EXECUTE format('GRANT %I TO %I', role_name, current_user);
            EXCEPTION
                WHEN insufficient_privilege THEN NULL; -- an administrator has granted what this user needs
            END;
        END IF;
    END LOOP;
END
$$;
