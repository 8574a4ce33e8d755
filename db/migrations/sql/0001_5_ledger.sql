-- Transfers and the balances that a trigger keeps of them.

CREATE TABLE transfers (
    id VARCHAR(64) NOT NULL,
    sequence BIGINT GENERATED ALWAYS AS IDENTITY,
    key VARCHAR(128) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    debit_id VARCHAR(64) NOT NULL,
    credit_id VARCHAR(64) NOT NULL,
    amount_micros BIGINT NOT NULL,
    resolves VARCHAR(64),
    job_id VARCHAR(64),
    lease_id VARCHAR(64),
    note VARCHAR DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_transfers PRIMARY KEY (id),
    CONSTRAINT ck_transfers_kind CHECK (kind IN ('deposit', 'withdrawal', 'hold', 'charge', 'release', 'payout', 'fee')),
    CONSTRAINT ck_transfers_two_sides CHECK (debit_id <> credit_id),
    CONSTRAINT ck_transfers_amount CHECK (amount_micros > 0 OR (kind IN ('release', 'charge', 'hold') AND amount_micros = 0)),
    CONSTRAINT ck_transfers_resolves CHECK ((kind IN ('charge', 'release')) = (resolves IS NOT NULL)),
    CONSTRAINT ck_transfers_release CHECK (kind <> 'release' OR amount_micros = 0),
    CONSTRAINT ck_transfers_sides CHECK (CASE kind
        WHEN 'deposit' THEN debit_id = 'account_issuance'
        WHEN 'withdrawal' THEN credit_id = 'account_issuance'
        WHEN 'payout' THEN debit_id = 'account_escrow'
        WHEN 'fee' THEN debit_id = 'account_escrow' AND credit_id = 'account_platform'
        ELSE credit_id = 'account_escrow'
    END),
    CONSTRAINT uq_transfers_key UNIQUE (key),
    CONSTRAINT fk_transfers_debit_id_accounts FOREIGN KEY(debit_id) REFERENCES accounts (id),
    CONSTRAINT fk_transfers_credit_id_accounts FOREIGN KEY(credit_id) REFERENCES accounts (id),
    CONSTRAINT fk_transfers_resolves_transfers FOREIGN KEY(resolves) REFERENCES transfers (id)
);
CREATE INDEX ix_transfers_credit ON transfers (credit_id, sequence);
CREATE INDEX ix_transfers_debit ON transfers (debit_id, sequence);
CREATE INDEX ix_transfers_job ON transfers (job_id);
CREATE UNIQUE INDEX uq_transfers_resolves ON transfers (resolves) WHERE resolves IS NOT NULL;

CREATE TABLE balances (
    account_id VARCHAR(64) NOT NULL,
    posted_micros BIGINT DEFAULT 0 NOT NULL,
    held_micros BIGINT DEFAULT 0 NOT NULL,
    may_overdraw BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_balances PRIMARY KEY (account_id),
    CONSTRAINT ck_balances_held CHECK (held_micros >= 0),
    CONSTRAINT ck_balances_funds CHECK (may_overdraw OR posted_micros - held_micros >= 0),
    CONSTRAINT fk_balances_account_id_accounts FOREIGN KEY(account_id) REFERENCES accounts (id)
);
