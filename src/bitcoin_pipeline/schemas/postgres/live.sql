-- The live plane's tables and roles in Postgres. Flink writes with upserts only; this file may be run again at any time.
-- Columns of candles are those of market/candles.json.

CREATE TABLE IF NOT EXISTS candles (
  symbol text NOT NULL,
  open_time timestamptz NOT NULL,
  source text NOT NULL DEFAULT 'live',
  open numeric(38, 9) NOT NULL,
  high numeric(38, 9) NOT NULL,
  low numeric(38, 9) NOT NULL,
  close numeric(38, 9) NOT NULL,
  volume numeric(38, 9) NOT NULL,
  turnover numeric(38, 9) NOT NULL,
  trade_count bigint,
  buy_volume numeric(38, 9),
  buy_turnover numeric(38, 9),
  first_trade_id text,
  last_trade_id text,
  status text NOT NULL CHECK (status IN ('forming', 'final', 'partial', 'repaired')),
  confirmed boolean,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (symbol, open_time, source)
);
-- Tables of an older version lack it.
ALTER TABLE candles ADD COLUMN IF NOT EXISTS confirmed boolean;
CREATE INDEX IF NOT EXISTS candles_updated_at ON candles (updated_at);
CREATE INDEX IF NOT EXISTS candles_open_time ON candles (open_time);

-- The proof of each symbol's feed: every trade up to proven_until was sent.
CREATE TABLE IF NOT EXISTS feed_status (
  symbol text PRIMARY KEY,
  proven_until timestamptz NOT NULL,
  lag_ms bigint NOT NULL,
  reconnects bigint NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The times in which trades may be missing: one row per gap, however long. to_time is NULL while the feed is away.
CREATE TABLE IF NOT EXISTS gaps (
  gap_id text PRIMARY KEY,
  symbol text NOT NULL,
  from_time timestamptz NOT NULL,
  to_time timestamptz,
  state text NOT NULL CHECK (state IN ('opened', 'closed')),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS gaps_symbol ON gaps (symbol, from_time);

CREATE OR REPLACE FUNCTION status_rank(status text) RETURNS integer IMMUTABLE LANGUAGE sql AS $$
  SELECT array_position(ARRAY['forming', 'final', 'partial', 'repaired'], status)
$$;

-- No value goes back while a stream replays: a smaller trade_count is refused, and at the same count a lower rank of
-- status or the loss of confirmed. A gap that opens later makes any candle partial. A write without a change leaves
-- updated_at as it is.
CREATE OR REPLACE FUNCTION guard_candle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.trade_count < OLD.trade_count THEN
    RETURN NULL;
  END IF;
  IF NEW.trade_count IS NOT DISTINCT FROM OLD.trade_count AND NEW.status <> 'partial' THEN
    IF status_rank(NEW.status) < status_rank(OLD.status) THEN
      NEW.status := OLD.status;
    END IF;
    NEW.confirmed := COALESCE(OLD.confirmed OR NEW.confirmed, NEW.confirmed, OLD.confirmed);
  END IF;
  NEW.updated_at := OLD.updated_at;
  IF NEW IS NOT DISTINCT FROM OLD THEN
    RETURN NULL;
  END IF;
  NEW.updated_at := clock_timestamp();
  RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER guard_candle BEFORE UPDATE ON candles FOR EACH ROW EXECUTE FUNCTION guard_candle();

CREATE OR REPLACE FUNCTION guard_feed_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.proven_until < OLD.proven_until THEN
    RETURN NULL;
  END IF;
  NEW.updated_at := clock_timestamp();
  RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER guard_feed_status BEFORE UPDATE ON feed_status
  FOR EACH ROW EXECUTE FUNCTION guard_feed_status();

-- A closed gap stays closed, and an end, once stored, stays.
CREATE OR REPLACE FUNCTION guard_gap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state = 'opened' AND (OLD.state = 'closed' OR (NEW.to_time IS NULL AND OLD.to_time IS NOT NULL)) THEN
    RETURN NULL;
  END IF;
  NEW.updated_at := OLD.updated_at;
  IF NEW IS NOT DISTINCT FROM OLD THEN
    RETURN NULL;
  END IF;
  NEW.updated_at := clock_timestamp();
  RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER guard_gap BEFORE UPDATE ON gaps FOR EACH ROW EXECUTE FUNCTION guard_gap();

-- Roles without a login, for the users of the deployables. Flink writes by upsert only; the publisher copies rows to
-- BigQuery and deletes old ones.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'live_writer') THEN
    CREATE ROLE live_writer;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'live_reader') THEN
    CREATE ROLE live_reader;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'live_publisher') THEN
    CREATE ROLE live_publisher;
  END IF;
END
$$;
GRANT SELECT, INSERT, UPDATE ON candles, feed_status, gaps TO live_writer;
GRANT SELECT ON candles, feed_status, gaps TO live_reader;
GRANT SELECT, DELETE ON candles, gaps TO live_publisher;
