-- What a round needs to be repeated to the byte, what it says of depth, and shadows beside it.

ALTER TABLE rounds
    ADD COLUMN budget_ms INTEGER DEFAULT 0 NOT NULL,
    ADD COLUMN effort JSONB DEFAULT '{}' NOT NULL,
    ADD COLUMN digest VARCHAR(64) DEFAULT '' NOT NULL,
    ADD COLUMN depth JSONB DEFAULT '{}' NOT NULL;
CREATE INDEX ix_rounds_created ON rounds (created_at, id);
CREATE INDEX ix_rounds_with_snapshot ON rounds (created_at) WHERE snapshot IS NOT NULL;

CREATE TABLE shadow_plans (
    round_id VARCHAR(64) NOT NULL,
    policy_id VARCHAR(64) NOT NULL,
    cell_id VARCHAR(64) NOT NULL,
    live JSONB NOT NULL,
    shadow JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_shadow_plans PRIMARY KEY (round_id, policy_id),
    CONSTRAINT fk_shadow_plans_round_id_rounds FOREIGN KEY(round_id) REFERENCES rounds (id) ON DELETE CASCADE
);
CREATE INDEX ix_shadow_plans_policy ON shadow_plans (policy_id, created_at);
