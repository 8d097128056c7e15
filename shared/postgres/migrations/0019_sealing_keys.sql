-- Which key personal data is sealed with, and who may seal it anew. The keys themselves are in a file that the database never
-- sees; what is sealed names its key itself, so no table is written anew and nobody has to stop.

CREATE TABLE registry.sealing_keys (
    key_id integer NOT NULL,
    active boolean NOT NULL,
    activated_at timestamptz,
    retired_at timestamptz,
    CONSTRAINT sealing_keys_pkey PRIMARY KEY (key_id),
    CONSTRAINT key_id_has_two_bytes CHECK (key_id BETWEEN 1 AND 65535),
    CONSTRAINT the_active_key_is_not_retired CHECK (NOT active OR (activated_at IS NOT NULL AND retired_at IS NULL))
);

CREATE UNIQUE INDEX one_active_sealing_key ON registry.sealing_keys (active) WHERE active;

INSERT INTO registry.sealing_keys (key_id, active, activated_at) VALUES (1, true, now());

GRANT SELECT ON registry.sealing_keys TO gongji_binding;

-- `gongji keys` sees of a person what it seals anew, and nothing of what they do.
GRANT USAGE ON SCHEMA registry TO gongji_keys;
GRANT SELECT, INSERT, UPDATE ON registry.sealing_keys TO gongji_keys;
GRANT SELECT (province, person_id, name_sealed, id_number_sealed), UPDATE (name_sealed, id_number_sealed, id_number_index)
ON registry.persons TO gongji_keys;
