-- Trades, heartbeats and gaps of the topic become candles, feed_status and gaps in Postgres; what cannot be counted goes
-- to the dead-letter topic. main.py fills in the placeholders and submits all INSERTs as one job.

CREATE TABLE records (
  `type` STRING, symbol STRING, `time` BIGINT,
  id STRING, seq BIGINT, side STRING, price DECIMAL(27, 9), size DECIMAL(27, 9), turnover DECIMAL(29, 9),
  symbols ARRAY<STRING>, lag_ms BIGINT, reconnects BIGINT,
  gap_id STRING, `from` BIGINT, `to` BIGINT, state STRING,
  `partition` INT METADATA VIRTUAL, `offset` BIGINT METADATA VIRTUAL,
  ts AS TO_TIMESTAMP_LTZ(`time` / 1000, 3),
  -- Heartbeats alone prove that time has passed: a trade with an absurd time moves nothing.
  WATERMARK FOR ts AS CASE WHEN `type` = 'heartbeat' THEN TO_TIMESTAMP_LTZ(`time` / 1000, 3) END
) WITH (
  'connector' = 'kafka', 'topic' = '${topic}', 'properties.bootstrap.servers' = '${brokers}',
  'properties.group.id' = 'candles', ${start},
  'format' = 'json', 'json.ignore-parse-errors' = 'true'
);

-- The same topic as bytes, for what the JSON reader passes over in silence.
CREATE TABLE lines (
  line STRING, `partition` INT METADATA VIRTUAL, `offset` BIGINT METADATA VIRTUAL
) WITH (
  'connector' = 'kafka', 'topic' = '${topic}', 'properties.bootstrap.servers' = '${brokers}',
  'properties.group.id' = 'candles-lines', ${start},
  'format' = 'raw'
);

CREATE TABLE dead_letters (
  reason STRING, record STRING, `partition` INT, `offset` BIGINT
) WITH (
  'connector' = 'kafka', 'topic' = '${dead_letter_topic}', 'properties.bootstrap.servers' = '${brokers}',
  'properties.compression.type' = 'lz4', 'format' = 'json'
);

-- No password here: the driver reads it from the file that PGPASSFILE names, so no SQL, log or screen can show it.
CREATE TABLE candles (
  symbol STRING, open_time TIMESTAMP(3), source STRING,
  -- NOT NULL: a minute in which there is a gap and no trade yet has no open, and the sink leaves it out (main.py).
  `open` DECIMAL(27, 9) NOT NULL, high DECIMAL(27, 9), low DECIMAL(27, 9), `close` DECIMAL(27, 9),
  volume DECIMAL(38, 9), turnover DECIMAL(38, 9), trade_count BIGINT,
  buy_volume DECIMAL(38, 9), buy_turnover DECIMAL(38, 9),
  first_trade_id STRING, last_trade_id STRING, status STRING,
  PRIMARY KEY (symbol, open_time, source) NOT ENFORCED
) WITH (
  'connector' = 'jdbc', 'url' = '${jdbc_url}', 'table-name' = 'candles',
  'sink.buffer-flush.max-rows' = '2000', 'sink.buffer-flush.interval' = '150 ms'
);

CREATE TABLE feed_status (
  symbol STRING, proven_until TIMESTAMP(3), lag_ms BIGINT, reconnects BIGINT,
  PRIMARY KEY (symbol) NOT ENFORCED
) WITH (
  'connector' = 'jdbc', 'url' = '${jdbc_url}', 'table-name' = 'feed_status', 'sink.buffer-flush.interval' = '500 ms'
);

CREATE TABLE gaps (
  gap_id STRING, symbol STRING, from_time TIMESTAMP(3), to_time TIMESTAMP(3), state STRING,
  PRIMARY KEY (gap_id) NOT ENFORCED
) WITH (
  'connector' = 'jdbc', 'url' = '${jdbc_url}', 'table-name' = 'gaps', 'sink.buffer-flush.interval' = '150 ms'
);

-- Every record with the reason why it cannot be counted, or NULL. A record that is not a JSON object is not here.
CREATE TEMPORARY VIEW judged AS
SELECT *,
  CASE
    WHEN `type` = 'trade' THEN
      CASE
        WHEN symbol IS NULL OR id IS NULL OR `time` IS NULL OR seq IS NULL OR side IS NULL
          OR price IS NULL OR size IS NULL OR turnover IS NULL THEN 'unreadable_trade'
        WHEN side NOT IN ('Buy', 'Sell') THEN 'unknown_side'
        WHEN CURRENT_WATERMARK(ts) IS NOT NULL AND ts < CURRENT_WATERMARK(ts) - INTERVAL '1' HOUR THEN 'too_late'
      END
    WHEN `type` = 'heartbeat' THEN
      CASE
        WHEN `time` IS NULL OR symbols IS NULL OR lag_ms IS NULL OR reconnects IS NULL THEN 'unreadable_heartbeat'
      END
    WHEN `type` = 'gap' THEN
      CASE
        WHEN gap_id IS NULL OR symbol IS NULL OR `from` IS NULL OR state IS NULL THEN 'unreadable_gap'
        WHEN state NOT IN ('opened', 'closed') THEN 'unknown_state'
      END
    ELSE 'unknown_type'
  END AS reason
FROM records;

-- sort_key orders trades as the core does, by (time, seq, price, id), price descending for a Sell: 16 characters of time,
-- 19 of seq, 29 of 10^18 + price or 10^18 - price, then the id.
CREATE TEMPORARY VIEW trades AS
SELECT symbol, id, price, size, turnover, side = 'Buy' AS bought, ts,
  CAST(TO_TIMESTAMP_LTZ((`time` / 60000000) * 60000, 3) AS TIMESTAMP(3)) AS open_time,
  LPAD(CAST(`time` AS STRING), 16, '0') || LPAD(CAST(seq AS STRING), 19, '0')
    || LPAD(CAST(CASE side WHEN 'Buy' THEN CAST('1000000000000000000' AS DECIMAL(28, 9)) + price
                           ELSE CAST('1000000000000000000' AS DECIMAL(28, 9)) - price END AS STRING), 29, '0')
    || id AS sort_key,
  -- A window of Flink ends a millisecond before its minute.
  COALESCE(CURRENT_WATERMARK(ts) >= TO_TIMESTAMP_LTZ((`time` / 60000000) * 60000 + 59999, 3), FALSE) AS closed,
  PROCTIME() AS arrival
FROM judged
WHERE `type` = 'trade' AND reason IS NULL AND `time` >= ${start_us};

CREATE TEMPORARY VIEW distinct_trades AS
SELECT * FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY symbol, id ORDER BY arrival) AS copy FROM trades
) WHERE copy = 1;

-- What a minute is made of: its trades, its end (once, when the heartbeats pass it), and the gaps in it.
CREATE TEMPORARY VIEW parts AS
SELECT *,
  -- Always 'live', in words that the planner does not see through: a constant is dropped from the key of an aggregate.
  CASE WHEN symbol IS NULL THEN '' ELSE 'live' END AS source
FROM (
SELECT symbol, open_time, sort_key, price, size, turnover, bought, closed,
  CAST(NULL AS STRING) AS gap_id, CAST(NULL AS BOOLEAN) AS gap_closed
FROM distinct_trades
UNION ALL
SELECT symbol, CAST(window_start AS TIMESTAMP(3)), CAST(NULL AS STRING), CAST(NULL AS DECIMAL(27, 9)),
  CAST(NULL AS DECIMAL(27, 9)), CAST(NULL AS DECIMAL(29, 9)), CAST(NULL AS BOOLEAN), TRUE,
  CAST(NULL AS STRING), CAST(NULL AS BOOLEAN)
FROM TABLE(TUMBLE(TABLE trades, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY symbol, window_start, window_end
UNION ALL
SELECT symbol, CAST(TO_TIMESTAMP_LTZ((`from` / 60000000) * 60000, 3) AS TIMESTAMP(3)), CAST(NULL AS STRING), CAST(NULL AS DECIMAL(27, 9)),
  CAST(NULL AS DECIMAL(27, 9)), CAST(NULL AS DECIMAL(29, 9)), CAST(NULL AS BOOLEAN), FALSE,
  gap_id, state = 'closed'
FROM judged
WHERE `type` = 'gap' AND reason IS NULL AND `from` >= ${start_us}
);

-- Only updates may reach the sink, or it deletes a row before it writes it again: the key of the aggregate is exactly the
-- sink's, and no HAVING filters what changes.
-- No sum can overflow: a turnover has at most 20 integer digits, a sum 29, so it takes a billion trades in a minute.
INSERT INTO candles
SELECT symbol, open_time, source,
  CAST(ABS(CAST(SUBSTRING(MIN(sort_key), 36, 29) AS DECIMAL(28, 9)) - CAST('1000000000000000000' AS DECIMAL(28, 9)))
    AS DECIMAL(27, 9)),
  MAX(price), MIN(price),
  CAST(ABS(CAST(SUBSTRING(MAX(sort_key), 36, 29) AS DECIMAL(28, 9)) - CAST('1000000000000000000' AS DECIMAL(28, 9)))
    AS DECIMAL(27, 9)),
  SUM(size), SUM(turnover), COUNT(sort_key),
  COALESCE(SUM(size) FILTER (WHERE bought), 0), COALESCE(SUM(turnover) FILTER (WHERE bought), 0),
  SUBSTRING(MIN(sort_key), 65), SUBSTRING(MAX(sort_key), 65),
  CASE
    -- A minute that is still open may lose more, so it is not repaired before its end.
    WHEN COUNT(DISTINCT gap_id) > 0
      AND (COUNT(DISTINCT gap_id) FILTER (WHERE gap_closed) < COUNT(DISTINCT gap_id) OR NOT MAX(closed)) THEN 'partial'
    WHEN COUNT(DISTINCT gap_id) > 0 THEN 'repaired'
    WHEN MAX(closed) THEN 'final'
    ELSE 'forming'
  END
FROM parts
GROUP BY symbol, open_time, source;

-- Every partition carries the same heartbeats; one of them is enough.
INSERT INTO feed_status
SELECT named, CAST(ts AS TIMESTAMP(3)), lag_ms, reconnects
FROM judged CROSS JOIN UNNEST(symbols) AS names (named)
WHERE `type` = 'heartbeat' AND reason IS NULL AND `partition` = 0;

INSERT INTO gaps
SELECT gap_id, symbol, CAST(TO_TIMESTAMP_LTZ(`from` / 1000, 3) AS TIMESTAMP(3)),
  CAST(TO_TIMESTAMP_LTZ(`to` / 1000, 3) AS TIMESTAMP(3)), state
FROM judged
WHERE `type` = 'gap' AND reason IS NULL;

INSERT INTO dead_letters
SELECT reason,
  JSON_OBJECT('type' VALUE `type`, 'symbol' VALUE symbol, 'id' VALUE id, 'time' VALUE `time`, 'seq' VALUE seq,
    'side' VALUE side, 'price' VALUE CAST(price AS STRING), 'size' VALUE CAST(size AS STRING),
    'turnover' VALUE CAST(turnover AS STRING), 'gap_id' VALUE gap_id, 'from' VALUE `from`, 'to' VALUE `to`,
    'state' VALUE state ABSENT ON NULL),
  `partition`, `offset`
FROM judged
WHERE reason IS NOT NULL;

INSERT INTO dead_letters
SELECT 'not_json', line, `partition`, `offset`
FROM lines
WHERE line IS NULL OR line IS NOT JSON OBJECT OR POSITION(U&'\FFFD' IN line) > 0;
