ALTER TABLE jobs SET (fillfactor = 50);
DROP INDEX ix_jobs_open;
CREATE INDEX ix_jobs_open ON jobs (id) WHERE ended_at IS NULL;
ALTER INDEX pk_demands SET (fillfactor = 50);
ALTER INDEX uq_demands_job_id SET (fillfactor = 50);

ALTER TABLE events DROP CONSTRAINT pk_events;
DROP INDEX ix_events_order;
ALTER TABLE events ADD CONSTRAINT pk_events PRIMARY KEY (txid, id);

-- What a foreign key does, for all rows of a statement at once: the rows that are named are locked
-- against deletion, and must be there. Plans are kept by each connection and may have been made for
-- small tables; without sequential scans they stay right when these are large.
ALTER TABLE leases DROP CONSTRAINT fk_leases_demand_id_demands,
    DROP CONSTRAINT fk_leases_node_id_nodes;

CREATE FUNCTION leases_hold() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    wanted text[];
    found bigint;
BEGIN
    SELECT array_agg(DISTINCT demand_id) INTO wanted FROM made;
    PERFORM FROM demands WHERE id = ANY (wanted) FOR KEY SHARE;
    GET DIAGNOSTICS found = ROW_COUNT;
    IF found < cardinality(wanted) THEN
        RAISE EXCEPTION 'a lease names a demand that is not there' USING
            ERRCODE = 'foreign_key_violation', CONSTRAINT = 'fk_leases_demand_id_demands';
    END IF;
    SELECT array_agg(DISTINCT node_id) INTO wanted FROM made;
    PERFORM FROM nodes WHERE id = ANY (wanted) FOR KEY SHARE;
    GET DIAGNOSTICS found = ROW_COUNT;
    IF found < cardinality(wanted) THEN
        RAISE EXCEPTION 'a lease names a node that is not there' USING
            ERRCODE = 'foreign_key_violation', CONSTRAINT = 'fk_leases_node_id_nodes';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER leases_hold AFTER INSERT ON leases REFERENCING NEW TABLE AS made
FOR EACH STATEMENT EXECUTE FUNCTION leases_hold();

CREATE FUNCTION demands_with_leases() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM leases WHERE demand_id = OLD.id) THEN
        RAISE EXCEPTION 'demand % has leases', OLD.id USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER demands_with_leases AFTER DELETE OR UPDATE OF id ON demands
FOR EACH ROW EXECUTE FUNCTION demands_with_leases();

CREATE FUNCTION nodes_with_leases() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM leases WHERE node_id = OLD.id) THEN
        RAISE EXCEPTION 'node % has leases', OLD.id USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER nodes_with_leases AFTER DELETE OR UPDATE OF id ON nodes
FOR EACH ROW EXECUTE FUNCTION nodes_with_leases();

-- Outcomes are written with their round and go with it.
ALTER TABLE bid_outcomes DROP CONSTRAINT fk_bid_outcomes_round_id_rounds;

CREATE FUNCTION outcomes_hold() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    wanted text[];
    found bigint;
BEGIN
    SELECT array_agg(DISTINCT round_id) INTO wanted FROM made;
    PERFORM FROM rounds WHERE id = ANY (wanted) FOR KEY SHARE;
    GET DIAGNOSTICS found = ROW_COUNT;
    IF found < cardinality(wanted) THEN
        RAISE EXCEPTION 'an outcome names a round that is not there' USING
            ERRCODE = 'foreign_key_violation', CONSTRAINT = 'fk_bid_outcomes_round_id_rounds';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER outcomes_hold AFTER INSERT ON bid_outcomes REFERENCING NEW TABLE AS made
FOR EACH STATEMENT EXECUTE FUNCTION outcomes_hold();

CREATE FUNCTION rounds_with_outcomes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM bid_outcomes WHERE round_id IN (SELECT id FROM gone);
    RETURN NULL;
END
$$;
CREATE TRIGGER rounds_with_outcomes AFTER DELETE ON rounds REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION rounds_with_outcomes();
