-- The market's records, leases and the attempts that run in them.

CREATE TABLE policies (
    id VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    body JSONB NOT NULL,
    created_by VARCHAR(64) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    activated_at TIMESTAMP WITH TIME ZONE,
    shadow BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_policies PRIMARY KEY (id)
);

CREATE TABLE demands (
    id VARCHAR(64) NOT NULL,
    job_id VARCHAR(64) NOT NULL,
    account_id VARCHAR(64) NOT NULL,
    cell_id VARCHAR(64) NOT NULL,
    home_cell_id VARCHAR(64) NOT NULL,
    state VARCHAR(8) NOT NULL,
    resources JSONB NOT NULL,
    count_open INTEGER NOT NULL,
    count_min INTEGER DEFAULT 1 NOT NULL,
    limit_micros_per_hour BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    needs JSONB NOT NULL,
    rounds INTEGER DEFAULT 0 NOT NULL,
    last_loss VARCHAR(32),
    last_loss_detail VARCHAR DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_demands PRIMARY KEY (id),
    CONSTRAINT ck_demands_state CHECK (state IN ('open', 'filled', 'closed')),
    CONSTRAINT ck_demands_count_open CHECK (count_open >= 0),
    CONSTRAINT uq_demands_job_id UNIQUE (job_id),
    CONSTRAINT fk_demands_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id),
    CONSTRAINT fk_demands_account_id_accounts FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_demands_cell_id_cells FOREIGN KEY(cell_id) REFERENCES cells (id),
    CONSTRAINT fk_demands_home_cell_id_cells FOREIGN KEY(home_cell_id) REFERENCES cells (id)
);
CREATE INDEX ix_demands_open ON demands (cell_id, created_at) WHERE state = 'open';

CREATE TABLE rounds (
    id VARCHAR(64) NOT NULL,
    cell_id VARCHAR(64) NOT NULL,
    policy_id VARCHAR(64) NOT NULL,
    mechanism VARCHAR(32) NOT NULL,
    seed BIGINT NOT NULL,
    bid_count INTEGER NOT NULL,
    ask_count INTEGER NOT NULL,
    slots_asked BIGINT NOT NULL,
    slots_matched BIGINT NOT NULL,
    slots_applied BIGINT NOT NULL,
    slots_refused BIGINT NOT NULL,
    welfare DOUBLE PRECISION NOT NULL,
    bound DOUBLE PRECISION NOT NULL,
    timings_ms JSONB NOT NULL,
    snapshot BYTEA,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_rounds PRIMARY KEY (id),
    CONSTRAINT fk_rounds_cell_id_cells FOREIGN KEY(cell_id) REFERENCES cells (id)
);
CREATE INDEX ix_rounds_cell_created ON rounds (cell_id, created_at, id);

CREATE TABLE bid_outcomes (
    round_id VARCHAR(64) NOT NULL,
    demand_id VARCHAR(64) NOT NULL,
    slots_asked INTEGER NOT NULL,
    slots_won INTEGER NOT NULL,
    loss VARCHAR(32),
    detail VARCHAR DEFAULT '' NOT NULL,
    CONSTRAINT pk_bid_outcomes PRIMARY KEY (round_id, demand_id),
    CONSTRAINT fk_bid_outcomes_round_id_rounds FOREIGN KEY(round_id) REFERENCES rounds (id) ON DELETE CASCADE
);
CREATE INDEX ix_bid_outcomes_demand_id ON bid_outcomes (demand_id);

CREATE TABLE leases (
    id VARCHAR(64) NOT NULL,
    job_id VARCHAR(64) NOT NULL,
    demand_id VARCHAR(64) NOT NULL,
    node_id VARCHAR(64) NOT NULL,
    cell_id VARCHAR(64) NOT NULL,
    owner_id VARCHAR(64) NOT NULL,
    tenant_id VARCHAR(64) NOT NULL,
    round_id VARCHAR(64) NOT NULL,
    state VARCHAR(16) NOT NULL,
    state_reason VARCHAR(32) DEFAULT '' NOT NULL,
    slots INTEGER NOT NULL,
    cpu_millis BIGINT NOT NULL,
    memory_bytes BIGINT NOT NULL,
    accelerator_millis BIGINT DEFAULT 0 NOT NULL,
    bandwidth_kbps BIGINT DEFAULT 0 NOT NULL,
    rate_micros_per_hour BIGINT NOT NULL,
    reserve_micros_per_hour BIGINT NOT NULL,
    limit_micros_per_hour BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    charge_micros BIGINT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_leases PRIMARY KEY (id),
    CONSTRAINT ck_leases_state CHECK (state IN ('active', 'released', 'expired', 'revoked')),
    CONSTRAINT ck_leases_slots CHECK (slots > 0),
    CONSTRAINT ck_leases_rate CHECK (reserve_micros_per_hour <= rate_micros_per_hour AND rate_micros_per_hour <= limit_micros_per_hour),
    CONSTRAINT ck_leases_window CHECK (ends_at > starts_at),
    CONSTRAINT fk_leases_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id),
    CONSTRAINT fk_leases_demand_id_demands FOREIGN KEY(demand_id) REFERENCES demands (id),
    CONSTRAINT fk_leases_node_id_nodes FOREIGN KEY(node_id) REFERENCES nodes (id)
);
CREATE INDEX ix_leases_active_end ON leases (ends_at) WHERE state = 'active';
CREATE INDEX ix_leases_active_job ON leases (job_id) WHERE state = 'active';
CREATE INDEX ix_leases_active_node ON leases (node_id) WHERE state = 'active';
CREATE INDEX ix_leases_created ON leases (created_at, id);
CREATE INDEX ix_leases_job ON leases (job_id);

CREATE TABLE attempts (
    id VARCHAR(64) NOT NULL,
    task_id VARCHAR(64) NOT NULL,
    job_id VARCHAR(64) NOT NULL,
    lease_id VARCHAR(64) NOT NULL,
    node_id VARCHAR(64) NOT NULL,
    number INTEGER NOT NULL,
    fence BIGINT NOT NULL,
    state VARCHAR(16) NOT NULL,
    reason VARCHAR(32),
    detail VARCHAR DEFAULT '' NOT NULL,
    exit_code INTEGER,
    log_tail VARCHAR DEFAULT '' NOT NULL,
    chargeable_ms BIGINT DEFAULT 0 NOT NULL,
    wall_ms BIGINT DEFAULT 0 NOT NULL,
    cpu_ms BIGINT DEFAULT 0 NOT NULL,
    memory_peak_bytes BIGINT DEFAULT 0 NOT NULL,
    bytes_in BIGINT DEFAULT 0 NOT NULL,
    bytes_out BIGINT DEFAULT 0 NOT NULL,
    energy_millijoules BIGINT DEFAULT 0 NOT NULL,
    assigned_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE,
    accepted_at TIMESTAMP WITH TIME ZONE,
    started_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_attempts PRIMARY KEY (id),
    CONSTRAINT ck_attempts_state CHECK (state IN ('assigned', 'accepted', 'running', 'unknown', 'succeeded', 'failed', 'cancelled', 'lost')),
    CONSTRAINT uq_attempts_task_id_number UNIQUE (task_id, number),
    CONSTRAINT fk_attempts_task_id_tasks FOREIGN KEY(task_id) REFERENCES tasks (id),
    CONSTRAINT fk_attempts_lease_id_leases FOREIGN KEY(lease_id) REFERENCES leases (id)
);
CREATE INDEX ix_attempts_job ON attempts (job_id);
CREATE INDEX ix_attempts_lease ON attempts (lease_id);
CREATE INDEX ix_attempts_live_lease ON attempts (lease_id) WHERE state IN ('accepted', 'assigned', 'running', 'unknown');
CREATE INDEX ix_attempts_live_node ON attempts (node_id) WHERE state IN ('accepted', 'assigned', 'running', 'unknown');
CREATE UNIQUE INDEX uq_attempts_live_task ON attempts (task_id) WHERE state IN ('accepted', 'assigned', 'running', 'unknown');

CREATE TABLE prices (
    round_id VARCHAR(64) NOT NULL,
    cell_id VARCHAR(64) NOT NULL,
    resource VARCHAR(32) NOT NULL,
    price_micros DOUBLE PRECISION NOT NULL,
    utilisation DOUBLE PRECISION NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_prices PRIMARY KEY (round_id, cell_id, resource)
);
CREATE INDEX ix_prices_cell_at ON prices (cell_id, at);

CREATE TABLE standing_prices (
    cell_id VARCHAR(64) NOT NULL,
    resource VARCHAR(32) NOT NULL,
    price_micros DOUBLE PRECISION NOT NULL,
    utilisation DOUBLE PRECISION NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_standing_prices PRIMARY KEY (cell_id, resource),
    CONSTRAINT fk_standing_prices_cell_id_cells FOREIGN KEY(cell_id) REFERENCES cells (id)
);
