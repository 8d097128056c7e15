-- The users the services connect as, each a member of one role of roles.sql. Runs after it, as a superuser, at the
-- first start of the database; run again, it takes over changed passwords.
\set ON_ERROR_STOP on
\getenv secrets GONGJI_SECRETS_DIR
\set migrate_password `cat :'secrets'/migrate_password`
\set settlement_password `cat :'secrets'/settlement_password`
\set binding_password `cat :'secrets'/binding_password`
\set bookkeeping_password `cat :'secrets'/bookkeeping_password`
\set keys_password `cat :'secrets'/keys_password`

BEGIN;

-- A failing statement is logged with its text, and these hold passwords.
SET LOCAL log_statement = 'none';
SET LOCAL log_min_error_statement = 'panic';
SET LOCAL log_min_duration_statement = -1;

-- An empty password would be taken, and lock the user out.
SELECT '' IN (
    :'migrate_password', :'settlement_password', :'binding_password', :'bookkeeping_password', :'keys_password'
) AS missing \gset
\if :missing
DO $$ BEGIN RAISE 'a password file in GONGJI_SECRETS_DIR is missing or empty'; END $$;
\endif

SELECT format('CREATE ROLE %I', login)
FROM unnest(ARRAY['migrate_login', 'settlement_login', 'binding_login', 'bookkeeping_login', 'keys_login']) AS login
WHERE login NOT IN (SELECT rolname FROM pg_roles)
\gexec

ALTER ROLE migrate_login LOGIN PASSWORD :'migrate_password';
ALTER ROLE settlement_login LOGIN PASSWORD :'settlement_password';
ALTER ROLE binding_login LOGIN PASSWORD :'binding_password';
ALTER ROLE bookkeeping_login LOGIN PASSWORD :'bookkeeping_password';
ALTER ROLE keys_login LOGIN PASSWORD :'keys_password';

GRANT gongji_migrate TO migrate_login;
GRANT gongji_settlement TO settlement_login;
GRANT gongji_binding TO binding_login;
GRANT gongji_bookkeeping TO bookkeeping_login;
GRANT gongji_keys TO keys_login;

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME"
TO gongji_migrate, gongji_settlement, gongji_binding, gongji_bookkeeping, gongji_audit, gongji_keys;
GRANT CREATE ON DATABASE :"DBNAME" TO gongji_migrate;

COMMIT;
