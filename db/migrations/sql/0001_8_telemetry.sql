-- Readings of devices: one partition a day, written by COPY, dropped whole when old.

CREATE TABLE telemetry (
    node_id uuid NOT NULL,
    key_id integer NOT NULL,
    at timestamptz NOT NULL,
    value double precision NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX ix_telemetry_at ON telemetry USING brin (at);
CREATE INDEX ix_telemetry_node ON telemetry (node_id, key_id, at);

-- Makes the partitions of the days from first to last that are missing; returns how many.
CREATE FUNCTION telemetry_make_days(first date, last date) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    day date;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('telemetry_days'));
    FOR day IN SELECT generate_series(first, last, '1 day') LOOP
        IF to_regclass('telemetry_' || to_char(day, 'YYYYMMDD')) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF telemetry FOR VALUES FROM (%L) TO (%L)',
                'telemetry_' || to_char(day, 'YYYYMMDD'),
                day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$$;

-- Drops the partitions of the days before keep_from; returns how many.
CREATE FUNCTION telemetry_drop_days(keep_from date) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    partition text;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('telemetry_days'));
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'telemetry'::regclass
            AND c.relname < 'telemetry_' || to_char(keep_from, 'YYYYMMDD')
    LOOP
        EXECUTE format('DROP TABLE %I', partition);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
