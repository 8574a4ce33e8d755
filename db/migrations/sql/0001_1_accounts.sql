-- Who may do what.

CREATE TABLE accounts (
    id VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    role VARCHAR(16) NOT NULL,
    password_hash VARCHAR,
    fair_weight DOUBLE PRECISION DEFAULT 1.0 NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    disabled_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_accounts PRIMARY KEY (id),
    CONSTRAINT ck_accounts_role CHECK (role IN ('operator', 'owner', 'tenant', 'viewer', 'system')),
    CONSTRAINT uq_accounts_name UNIQUE (name)
);

CREATE TABLE api_keys (
    id VARCHAR(64) NOT NULL,
    account_id VARCHAR(64) NOT NULL,
    name VARCHAR(200) DEFAULT '' NOT NULL,
    prefix VARCHAR(16) NOT NULL,
    secret_hash BYTEA NOT NULL,
    scopes VARCHAR(32)[] NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    last_used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_api_keys PRIMARY KEY (id),
    CONSTRAINT fk_api_keys_account_id_accounts FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT uq_api_keys_prefix UNIQUE (prefix)
);
CREATE INDEX ix_api_keys_account_id ON api_keys (account_id);

CREATE TABLE browser_sessions (
    id VARCHAR(64) NOT NULL,
    account_id VARCHAR(64) NOT NULL,
    secret_hash BYTEA NOT NULL,
    csrf_token VARCHAR(64) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_browser_sessions PRIMARY KEY (id),
    CONSTRAINT fk_browser_sessions_account_id_accounts FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT uq_browser_sessions_secret_hash UNIQUE (secret_hash)
);
CREATE INDEX ix_browser_sessions_account_id ON browser_sessions (account_id);
