-- The tables of linnet-outbox, for PostgreSQL 14 or newer. docs/outbox.md says how services write to them.
--
--   linnet-outbox schema | psql "$DATABASE_URL"
--
-- It may be run again. Put a search_path before it to have them in a schema of your own.

CREATE TABLE IF NOT EXISTS linnet_outbox (
    -- The message_id: a publish that is sent again is the same message.
    id          uuid        NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    -- The order of messages of one aggregate. Writers lock the aggregate's row first, so it is the order of their commits;
    -- between aggregates it is not.
    seq         bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    -- What messages are about, such as 'product/42': the messages of one aggregate stay in order.
    aggregate   text        NOT NULL,
    -- What relays share among themselves. The hash is that of PARTITION BY HASH, which no release of PostgreSQL may change.
    partition   integer     NOT NULL GENERATED ALWAYS AS ((hashtextextended(aggregate, 0) & 63)::integer) STORED,
    room        text        NOT NULL,
    event       text,
    -- Not jsonb: what is written is published as it is, with every digit of its numbers.
    data        json        NOT NULL,
    -- The trace that the message goes on with (W3C Trace Context).
    traceparent text,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Rows come and go: what is gone must be cleared away before the index is full of it.
ALTER TABLE linnet_outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE INDEX IF NOT EXISTS linnet_outbox_order ON linnet_outbox (partition, seq);

-- What can never be published as it is, and why.
CREATE TABLE IF NOT EXISTS linnet_outbox_failed (
    id          uuid        NOT NULL PRIMARY KEY,
    seq         bigint      NOT NULL,
    aggregate   text        NOT NULL,
    room        text        NOT NULL,
    event       text,
    data        json        NOT NULL,
    traceparent text,
    created_at  timestamptz NOT NULL,
    code        text        NOT NULL,
    reason      text        NOT NULL,
    failed_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Wakes the relays at the commit.
CREATE OR REPLACE FUNCTION linnet_outbox_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('linnet_outbox', NEW.partition::text);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER linnet_outbox_wake AFTER INSERT ON linnet_outbox
    FOR EACH ROW EXECUTE FUNCTION linnet_outbox_wake();
