-- Places and devices.

CREATE TABLE cells (
    id VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    level VARCHAR(8) NOT NULL,
    parent_id VARCHAR(64),
    latitude DOUBLE PRECISION,
    longitude DOUBLE PRECISION,
    carbon_g_per_kwh INTEGER,
    version INTEGER DEFAULT 1 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_cells PRIMARY KEY (id),
    CONSTRAINT ck_cells_level CHECK (level IN ('cell', 'region', 'root')),
    CONSTRAINT uq_cells_name UNIQUE (name),
    CONSTRAINT fk_cells_parent_id_cells FOREIGN KEY(parent_id) REFERENCES cells (id)
);
CREATE INDEX ix_cells_parent_id ON cells (parent_id);

CREATE TABLE join_tokens (
    id VARCHAR(64) NOT NULL,
    prefix VARCHAR(16) NOT NULL,
    secret_hash BYTEA NOT NULL,
    owner_id VARCHAR(64) NOT NULL,
    cell_id VARCHAR(64) NOT NULL,
    uses_left INTEGER NOT NULL,
    created_by VARCHAR(64) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_join_tokens PRIMARY KEY (id),
    CONSTRAINT ck_join_tokens_uses_left CHECK (uses_left >= 0),
    CONSTRAINT uq_join_tokens_prefix UNIQUE (prefix),
    CONSTRAINT fk_join_tokens_owner_id_accounts FOREIGN KEY(owner_id) REFERENCES accounts (id),
    CONSTRAINT fk_join_tokens_cell_id_cells FOREIGN KEY(cell_id) REFERENCES cells (id)
);
CREATE INDEX ix_join_tokens_live ON join_tokens (prefix) WHERE revoked_at IS NULL;
CREATE INDEX ix_join_tokens_owner_id ON join_tokens (owner_id);

CREATE TABLE nodes (
    id VARCHAR(64) NOT NULL,
    owner_id VARCHAR(64) NOT NULL,
    cell_id VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    state VARCHAR(16) NOT NULL,
    state_reason VARCHAR DEFAULT '' NOT NULL,
    boot BIGINT DEFAULT 0 NOT NULL,
    seq BIGINT DEFAULT 0 NOT NULL,
    agent_version VARCHAR(32) DEFAULT '' NOT NULL,
    arch VARCHAR(32) DEFAULT '' NOT NULL,
    cpu_count INTEGER DEFAULT 0 NOT NULL,
    runtimes JSONB DEFAULT '{}' NOT NULL,
    labels JSONB DEFAULT '{}' NOT NULL,
    capacity JSONB DEFAULT '{}' NOT NULL,
    calibration_ops_per_s BIGINT DEFAULT 0 NOT NULL,
    idle_milliwatts BIGINT DEFAULT 0 NOT NULL,
    max_milliwatts BIGINT DEFAULT 0 NOT NULL,
    carbon_g_per_kwh INTEGER,
    latitude DOUBLE PRECISION,
    longitude DOUBLE PRECISION,
    cpu_free_millis BIGINT DEFAULT 0 NOT NULL,
    memory_free_bytes BIGINT DEFAULT 0 NOT NULL,
    disk_free_bytes BIGINT DEFAULT 0 NOT NULL,
    load_1m_milli BIGINT DEFAULT 0 NOT NULL,
    battery_percent INTEGER,
    on_battery BOOLEAN DEFAULT false NOT NULL,
    temperature_millicelsius BIGINT,
    last_seen_at TIMESTAMP WITH TIME ZONE,
    silent_since TIMESTAMP WITH TIME ZONE,
    reliability_good DOUBLE PRECISION DEFAULT 0.0 NOT NULL,
    reliability_all DOUBLE PRECISION DEFAULT 0.0 NOT NULL,
    cooldown_until TIMESTAMP WITH TIME ZONE,
    certificate_serial VARCHAR(64) DEFAULT '' NOT NULL,
    certificate_expires_at TIMESTAMP WITH TIME ZONE,
    public_key_sha256 VARCHAR(64) DEFAULT '' NOT NULL,
    previous_key_sha256 VARCHAR(64) DEFAULT '' NOT NULL,
    enrolled_at TIMESTAMP WITH TIME ZONE NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_nodes PRIMARY KEY (id),
    CONSTRAINT ck_nodes_state CHECK (state IN ('enrolled', 'online', 'offline', 'draining', 'quarantined', 'revoked')),
    CONSTRAINT fk_nodes_owner_id_accounts FOREIGN KEY(owner_id) REFERENCES accounts (id),
    CONSTRAINT fk_nodes_cell_id_cells FOREIGN KEY(cell_id) REFERENCES cells (id)
);
CREATE INDEX ix_nodes_cell_state ON nodes (cell_id, state);
CREATE INDEX ix_nodes_owner_id ON nodes (owner_id);
CREATE INDEX ix_nodes_public_key_sha256 ON nodes (public_key_sha256);
CREATE INDEX ix_nodes_state_last_seen ON nodes (state, last_seen_at);

CREATE TABLE offers (
    id VARCHAR(64) NOT NULL,
    node_id VARCHAR(64) NOT NULL,
    owner_id VARCHAR(64) NOT NULL,
    cell_id VARCHAR(64) NOT NULL,
    state VARCHAR(16) NOT NULL,
    capacity JSONB NOT NULL,
    reserve JSONB NOT NULL,
    accepts JSONB DEFAULT '[]' NOT NULL,
    refuses JSONB DEFAULT '[]' NOT NULL,
    opens_at TIMESTAMP WITH TIME ZONE,
    closes_at TIMESTAMP WITH TIME ZONE,
    version INTEGER DEFAULT 1 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_offers PRIMARY KEY (id),
    CONSTRAINT ck_offers_state CHECK (state IN ('open', 'withdrawn')),
    CONSTRAINT fk_offers_node_id_nodes FOREIGN KEY(node_id) REFERENCES nodes (id),
    CONSTRAINT fk_offers_owner_id_accounts FOREIGN KEY(owner_id) REFERENCES accounts (id),
    CONSTRAINT fk_offers_cell_id_cells FOREIGN KEY(cell_id) REFERENCES cells (id)
);
CREATE INDEX ix_offers_cell_id ON offers (cell_id);
CREATE INDEX ix_offers_node_id ON offers (node_id);
CREATE INDEX ix_offers_owner_id ON offers (owner_id);
CREATE UNIQUE INDEX uq_offers_open_node ON offers (node_id) WHERE state = 'open';

CREATE TABLE telemetry_keys (
    id INTEGER GENERATED ALWAYS AS IDENTITY,
    key VARCHAR(64) NOT NULL,
    CONSTRAINT pk_telemetry_keys PRIMARY KEY (id),
    CONSTRAINT uq_telemetry_keys_key UNIQUE (key)
);
