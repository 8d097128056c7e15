-- The registry: who is insured where, who may pay for whom, under which policy. Owned by the binding service.
-- `province` leads every key: a province is a cell, and nothing in a settlement crosses it.

CREATE SCHEMA registry;

CREATE TABLE registry.persons (
    province smallint NOT NULL,
    person_id text NOT NULL,
    region_code text NOT NULL,
    insurance text NOT NULL,
    status text NOT NULL,
    account_frozen boolean NOT NULL DEFAULT false,
    name_sealed bytea NOT NULL,
    id_number_sealed bytea NOT NULL,
    id_number_index bytea NOT NULL,
    moved_to text,
    registered_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT persons_pkey PRIMARY KEY (province, person_id),
    CONSTRAINT person_id_is_opaque CHECK (person_id ~ '^[A-Za-z0-9_-]{1,30}$'),
    CONSTRAINT province_is_the_regions_first_two_digits CHECK (left(region_code, 2)::smallint = province),
    CONSTRAINT region_code_has_six_digits CHECK (region_code ~ '^[0-9]{6}$'),
    CONSTRAINT insurance_is_known CHECK (insurance IN ('employee', 'resident')),
    CONSTRAINT status_is_known CHECK (status IN ('active', 'suspended', 'ended'))
);

-- A person id is asked for without its province at the HTTP door.
CREATE INDEX persons_by_id ON registry.persons (person_id);
CREATE INDEX persons_by_id_number ON registry.persons (province, id_number_index);

-- Institutions send requests to every province, so they are the one table that every cell has whole.
CREATE TABLE registry.institutions (
    institution_id text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    region_code text NOT NULL,
    amqp_user text,
    status text NOT NULL,
    registered_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT institutions_pkey PRIMARY KEY (institution_id),
    CONSTRAINT institution_id_is_opaque CHECK (institution_id ~ '^[A-Za-z0-9_-]{1,30}$'),
    CONSTRAINT institution_region_has_six_digits CHECK (region_code ~ '^[0-9]{6}$'),
    CONSTRAINT kind_is_known CHECK (kind IN ('hospital', 'pharmacy', 'gateway', 'tax_office', 'agency')),
    CONSTRAINT institution_status_is_known CHECK (status IN ('active', 'suspended'))
);

CREATE TABLE registry.bindings (
    province smallint NOT NULL,
    binding_id uuid NOT NULL,
    payer_id text NOT NULL,
    beneficiary_province smallint NOT NULL,
    beneficiary_id text NOT NULL,
    relation text NOT NULL,
    valid_from date NOT NULL,
    valid_until date,
    annual_limit_fen bigint,
    wallet boolean NOT NULL,
    auto_accept boolean NOT NULL,
    bound_at timestamptz NOT NULL,
    bound_by text NOT NULL,
    ended_at timestamptz,
    ended_by text,
    end_cause text,
    CONSTRAINT bindings_pkey PRIMARY KEY (province, binding_id),
    CONSTRAINT nobody_is_bound_to_themselves CHECK ((province, payer_id) <> (beneficiary_province, beneficiary_id)),
    CONSTRAINT binding_ends_no_earlier_than_it_starts CHECK (valid_until >= valid_from),
    CONSTRAINT annual_limit_is_positive CHECK (annual_limit_fen > 0),
    CONSTRAINT across_provinces_only_through_the_wallet CHECK (province = beneficiary_province OR wallet),
    CONSTRAINT an_end_is_recorded_whole CHECK (
        (ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (end_cause IS NULL)
    )
);

CREATE INDEX bindings_by_beneficiary ON registry.bindings (beneficiary_province, beneficiary_id);
CREATE INDEX bindings_by_payer ON registry.bindings (province, payer_id);

CREATE TABLE registry.kinship_links (
    province smallint NOT NULL,
    kinship_link_id uuid NOT NULL,
    holder_id text NOT NULL,
    shown_id text NOT NULL,
    linked_at timestamptz NOT NULL,
    linked_by text NOT NULL,
    ended_at timestamptz,
    CONSTRAINT kinship_links_pkey PRIMARY KEY (province, kinship_link_id),
    CONSTRAINT nobody_shows_their_own_code_by_a_link CHECK (holder_id <> shown_id)
);

-- The province of a kinship link is that of the person whose code is shown.
CREATE UNIQUE INDEX one_standing_kinship_link ON registry.kinship_links (province, shown_id, holder_id)
WHERE ended_at IS NULL;
CREATE INDEX kinship_links_by_holder ON registry.kinship_links (holder_id);

CREATE TABLE registry.region_policies (
    province smallint NOT NULL,
    code text NOT NULL,
    version integer NOT NULL,
    effective_from date NOT NULL,
    policy jsonb NOT NULL,
    put_at timestamptz NOT NULL,
    put_by text NOT NULL,
    CONSTRAINT region_policies_pkey PRIMARY KEY (province, code, version),
    CONSTRAINT code_is_a_province_a_pooling_area_or_a_region CHECK (code ~ '^([0-9]{2}|[0-9]{4}|[0-9]{6})$'),
    CONSTRAINT versions_count_from_one CHECK (version >= 1)
);

-- One row a province that has ever had a policy put: its epoch tells a worker whether its policies are current.
CREATE TABLE registry.policy_epochs (
    province smallint NOT NULL,
    epoch bigint NOT NULL,
    CONSTRAINT policy_epochs_pkey PRIMARY KEY (province)
);

-- What the HTTP door has answered under an Idempotency-Key. It belongs to the door, not to a cell: no province.
CREATE TABLE registry.idempotency_keys (
    subject text NOT NULL,
    key text NOT NULL,
    content bytea NOT NULL,
    status smallint NOT NULL,
    body jsonb NOT NULL,
    kept_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (subject, key)
);

CREATE INDEX idempotency_keys_by_age ON registry.idempotency_keys (kept_at);
