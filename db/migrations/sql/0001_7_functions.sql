-- Sequences, and the functions and triggers that keep the ledger, ids and telemetry.

CREATE SEQUENCE lease_epochs AS bigint;

-- A typed UUIDv7 as market.ids makes it: 48 bits of milliseconds, version, 74 bits of chance.
CREATE FUNCTION new_id(prefix text, at timestamptz) RETURNS text
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT prefix || '_'
        || lpad(to_hex(CAST(floor(extract(epoch FROM at) * 1000) AS bigint)), 12, '0')
        || '7' || substr(replace(CAST(gen_random_uuid() AS text), '-', ''), 14)
$$;

-- Every account has a balance from its first moment on.
CREATE FUNCTION accounts_open_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO balances (account_id) SELECT id FROM opened ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER accounts_open_balance AFTER INSERT ON accounts
REFERENCING NEW TABLE AS opened
FOR EACH STATEMENT EXECUTE FUNCTION accounts_open_balance();

-- Applies one statement's transfers to the balances; locks the rows in the order of their ids.
-- SK001: a resolution does not fit its hold.  SK002: somebody has too little.
-- Its plans are kept by each connection and may have been made when the ledger was small; without
-- sequential scans they stay right when it is large.
CREATE FUNCTION transfers_apply() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    misfit record;
    short record;
    ids text[];
    posted bigint[];
    held bigint[];
BEGIN
    SELECT p.id, p.resolves INTO misfit
    FROM posted_now p JOIN transfers h ON h.id = p.resolves
    WHERE p.resolves IS NOT NULL
        AND (h.kind <> 'hold' OR h.debit_id <> p.debit_id OR h.credit_id <> p.credit_id
            OR p.amount_micros > h.amount_micros)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transfer % does not fit the hold % that it resolves',
            misfit.id, misfit.resolves USING ERRCODE = 'SK001';
    END IF;

    SELECT array_agg(d.account_id), array_agg(d.posted), array_agg(d.held)
    INTO ids, posted, held
    FROM (
        SELECT m.account_id, sum(m.posted) AS posted, sum(m.held) AS held
        FROM (
            SELECT debit_id AS account_id, -amount_micros AS posted, 0 AS held
            FROM posted_now WHERE kind NOT IN ('hold', 'release')
            UNION ALL
            SELECT credit_id, amount_micros, 0
            FROM posted_now WHERE kind NOT IN ('hold', 'release')
            UNION ALL
            SELECT debit_id, 0, amount_micros FROM posted_now WHERE kind = 'hold'
            UNION ALL
            SELECT h.debit_id, 0, -h.amount_micros
            FROM posted_now p JOIN transfers h ON h.id = p.resolves
            WHERE p.resolves IS NOT NULL
        ) m
        GROUP BY m.account_id
        HAVING sum(m.posted) <> 0 OR sum(m.held) <> 0
    ) d;
    IF ids IS NULL THEN
        RETURN NULL;
    END IF;

    PERFORM FROM balances b WHERE b.account_id = ANY (ids) ORDER BY b.account_id FOR UPDATE;

    SELECT b.account_id,
        b.held_micros + d.held - b.posted_micros - d.posted AS missing
    INTO short
    FROM unnest(ids, posted, held) AS d (account_id, posted, held)
    JOIN balances b USING (account_id)
    WHERE NOT b.may_overdraw
        AND b.posted_micros + d.posted - b.held_micros - d.held < 0
    ORDER BY b.account_id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account % has % micros too little', short.account_id, short.missing
            USING ERRCODE = 'SK002', DETAIL = short.account_id || ' ' || short.missing;
    END IF;

    UPDATE balances b
    SET posted_micros = b.posted_micros + d.posted, held_micros = b.held_micros + d.held
    FROM unnest(ids, posted, held) AS d (account_id, posted, held)
    WHERE b.account_id = d.account_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER transfers_apply AFTER INSERT ON transfers
REFERENCING NEW TABLE AS posted_now
FOR EACH STATEMENT EXECUTE FUNCTION transfers_apply();

-- SK003: history is not rewritten.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: its rows are only inserted', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'SK003';
END
$$;

CREATE TRIGGER transfers_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER audit_log_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Balances change through transfers alone.
CREATE TRIGGER balances_follow_transfers BEFORE UPDATE OR DELETE OR TRUNCATE ON balances
FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_change();
