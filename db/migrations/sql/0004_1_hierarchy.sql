-- What cells tell the region and the root, what these decided, and where a demand stands with them.

ALTER TABLE demands
    ADD COLUMN tried_cells VARCHAR(64)[] DEFAULT '{}' NOT NULL,
    ADD COLUMN reach VARCHAR(8) DEFAULT 'region' NOT NULL,
    ADD CONSTRAINT ck_demands_reach CHECK (reach IN ('region', 'root'));
ALTER TABLE rounds ADD COLUMN slots_sent_up BIGINT DEFAULT 0 NOT NULL;

CREATE TABLE supply_curves (
    cell_id VARCHAR(64) NOT NULL,
    steps JSONB NOT NULL,
    told_at TIMESTAMP WITH TIME ZONE NOT NULL,
    version BIGINT DEFAULT 1 NOT NULL,
    CONSTRAINT pk_supply_curves PRIMARY KEY (cell_id),
    CONSTRAINT fk_supply_curves_cell_id_cells FOREIGN KEY(cell_id) REFERENCES cells (id)
);

CREATE TABLE upper_rounds (
    id VARCHAR(64) NOT NULL,
    place VARCHAR(64) NOT NULL,
    bid_count INTEGER NOT NULL,
    cell_count INTEGER NOT NULL,
    step_count INTEGER NOT NULL,
    slots_asked BIGINT NOT NULL,
    slots_handed_down BIGINT NOT NULL,
    bids_handed_down INTEGER NOT NULL,
    bytes_up BIGINT NOT NULL,
    timings_ms JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_upper_rounds PRIMARY KEY (id)
);
CREATE INDEX ix_upper_rounds_place_created ON upper_rounds (place, created_at, id);
