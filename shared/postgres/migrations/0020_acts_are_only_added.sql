-- Who looked at whom is not rewritten, by nobody: roles have no right to, and who owns the table would have to take this away first.

CREATE FUNCTION registry.refuse_to_rewrite() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% of registry.% is refused: acts are only added', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER acts_are_only_added
BEFORE UPDATE OR DELETE OR TRUNCATE ON registry.acts
FOR EACH STATEMENT EXECUTE FUNCTION registry.refuse_to_rewrite();
