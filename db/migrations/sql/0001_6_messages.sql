-- What must reach others and what must be remembered.

CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    node_id VARCHAR(64) NOT NULL,
    type VARCHAR(16) NOT NULL,
    data JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE,
    tries INTEGER DEFAULT 0 NOT NULL,
    done_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_outbox PRIMARY KEY (id),
    CONSTRAINT fk_outbox_node_id_nodes FOREIGN KEY(node_id) REFERENCES nodes (id)
);
CREATE INDEX ix_outbox_open ON outbox (node_id, id) WHERE done_at IS NULL;

CREATE TABLE events (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    txid BIGINT DEFAULT pg_current_xact_id()::text::bigint NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    kind VARCHAR(48) NOT NULL,
    account_id VARCHAR(64),
    subject_id VARCHAR(64) NOT NULL,
    data JSONB NOT NULL,
    CONSTRAINT pk_events PRIMARY KEY (id)
);
CREATE INDEX ix_events_at ON events (at);
CREATE INDEX ix_events_order ON events (txid, id);
CREATE INDEX ix_events_subject ON events (subject_id, txid, id);

CREATE TABLE idempotency_keys (
    account_id VARCHAR(64) NOT NULL,
    key VARCHAR(255) NOT NULL,
    request_hash BYTEA NOT NULL,
    status INTEGER NOT NULL,
    headers JSONB NOT NULL,
    body BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (account_id, key)
);
CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at);

CREATE TABLE audit_log (
    id VARCHAR(64) NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    account_id VARCHAR(64) NOT NULL,
    action VARCHAR(64) NOT NULL,
    subject_id VARCHAR(64) NOT NULL,
    before JSONB,
    after JSONB,
    address VARCHAR(64) DEFAULT '' NOT NULL,
    CONSTRAINT pk_audit_log PRIMARY KEY (id)
);
CREATE INDEX ix_audit_log_at ON audit_log (at);
CREATE INDEX ix_audit_log_subject_id ON audit_log (subject_id);
