-- Artifacts, models, jobs and their tasks.

CREATE TABLE artifacts (
    digest VARCHAR(80) NOT NULL,
    size_bytes BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_artifacts PRIMARY KEY (digest)
);

CREATE TABLE artifact_grants (
    digest VARCHAR(80) NOT NULL,
    account_id VARCHAR(64) NOT NULL,
    name VARCHAR(200) DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_artifact_grants PRIMARY KEY (digest, account_id),
    CONSTRAINT fk_artifact_grants_digest_artifacts FOREIGN KEY(digest) REFERENCES artifacts (digest),
    CONSTRAINT fk_artifact_grants_account_id_accounts FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE TABLE models (
    id VARCHAR(64) NOT NULL,
    account_id VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    digest VARCHAR(80) NOT NULL,
    inputs JSONB NOT NULL,
    outputs JSONB NOT NULL,
    parameter_count BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_models PRIMARY KEY (id),
    CONSTRAINT uq_models_account_id_name UNIQUE (account_id, name),
    CONSTRAINT fk_models_account_id_accounts FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_models_digest_artifacts FOREIGN KEY(digest) REFERENCES artifacts (digest)
);

CREATE TABLE jobs (
    id VARCHAR(64) NOT NULL,
    account_id VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    state VARCHAR(16) NOT NULL,
    spec JSONB NOT NULL,
    task_count INTEGER NOT NULL,
    tasks_succeeded INTEGER DEFAULT 0 NOT NULL,
    tasks_failed INTEGER DEFAULT 0 NOT NULL,
    limit_micros_per_hour BIGINT NOT NULL,
    hold_micros BIGINT NOT NULL,
    hold_id VARCHAR(64) NOT NULL,
    accrued_micros BIGINT DEFAULT 0 NOT NULL,
    cost_micros BIGINT DEFAULT 0 NOT NULL,
    end_reason VARCHAR(32),
    end_detail VARCHAR DEFAULT '' NOT NULL,
    cancel_requested_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    matched_at TIMESTAMP WITH TIME ZONE,
    started_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_jobs PRIMARY KEY (id),
    CONSTRAINT ck_jobs_state CHECK (state IN ('queued', 'matched', 'running', 'succeeded', 'failed', 'cancelled', 'expired')),
    CONSTRAINT ck_jobs_cost CHECK (cost_micros >= 0 AND cost_micros <= hold_micros),
    CONSTRAINT fk_jobs_account_id_accounts FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE INDEX ix_jobs_account_created ON jobs (account_id, created_at, id);
CREATE INDEX ix_jobs_created ON jobs (created_at, id);
CREATE INDEX ix_jobs_open ON jobs (state) WHERE state IN ('queued', 'matched', 'running');

CREATE TABLE tasks (
    id VARCHAR(64) NOT NULL,
    job_id VARCHAR(64) NOT NULL,
    index INTEGER NOT NULL,
    state VARCHAR(16) NOT NULL,
    input JSONB NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    retries_left INTEGER NOT NULL,
    result_digest VARCHAR(80),
    result_bytes BIGINT DEFAULT 0 NOT NULL,
    exit_code INTEGER,
    end_reason VARCHAR(32),
    end_detail VARCHAR DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_tasks PRIMARY KEY (id),
    CONSTRAINT ck_tasks_state CHECK (state IN ('queued', 'placed', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT uq_tasks_job_id_index UNIQUE (job_id, index),
    CONSTRAINT fk_tasks_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id)
);
CREATE INDEX ix_tasks_queued ON tasks (job_id, index) WHERE state = 'queued';
