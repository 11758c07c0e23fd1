-- Trades, minutes, gaps and heartbeats of the topic become candles, gaps and feed_status in Postgres; records that cannot
-- be counted go to the dead-letter topic. job.py fills in the placeholders; all INSERTs are submitted as one job.

CREATE TABLE records (
  `type` STRING, symbol STRING, `time` BIGINT,
  -- Amounts are texts, as the JSON reader would round decimals without an error.
  id STRING, seq BIGINT, side STRING, price STRING, size STRING, turnover STRING,
  symbols ARRAY<STRING>, lag_ms BIGINT, reconnects BIGINT,
  gap_id STRING, `from` BIGINT, `to` BIGINT, state STRING,
  open_time BIGINT, trade_count BIGINT, volume STRING, confirmed BOOLEAN,
  `partition` INT METADATA VIRTUAL, `offset` BIGINT METADATA VIRTUAL
) WITH (
  'connector' = 'kafka', 'topic' = '${topic}', ${kafka},
  'properties.group.id' = '${group}', ${start},
  -- An answer of the broker for every few trades would cost it and Flink more than the trades themselves.
  'properties.fetch.min.bytes' = '100000', 'properties.fetch.max.wait.ms' = '50',
  'format' = 'json', 'json.ignore-parse-errors' = 'true'
);

-- The same topic as bytes, for records that the JSON reader drops without an error.
CREATE TABLE lines (
  line STRING, `partition` INT METADATA VIRTUAL, `offset` BIGINT METADATA VIRTUAL
) WITH (
  'connector' = 'kafka', 'topic' = '${topic}', ${kafka},
  'properties.group.id' = '${lines_group}', ${start},
  'properties.fetch.min.bytes' = '1000000', 'properties.fetch.max.wait.ms' = '1000',
  'format' = 'raw'
);

CREATE TABLE dead_letters (
  reason STRING, record STRING, `partition` INT, `offset` BIGINT
) WITH (
  'connector' = 'kafka', 'topic' = '${dead_letter_topic}', ${kafka},
  'properties.compression.type' = 'lz4', 'format' = 'json'
);

-- The JDBC driver reads the password from the file that PGPASSFILE names, so no SQL, log or screen can show it.
CREATE TABLE candles (
  symbol STRING, open_time TIMESTAMP(3), source STRING,
  -- A minute with a gap and no trade yet has no open; as the column is NOT NULL, the sink drops that row (job.py).
  `open` DECIMAL(27, 9) NOT NULL, high DECIMAL(27, 9), low DECIMAL(27, 9), `close` DECIMAL(27, 9),
  volume DECIMAL(38, 9), turnover DECIMAL(38, 9), trade_count BIGINT,
  buy_volume DECIMAL(38, 9), buy_turnover DECIMAL(38, 9),
  first_trade_id STRING, last_trade_id STRING, status STRING, confirmed BOOLEAN,
  PRIMARY KEY (symbol, open_time, source) NOT ENFORCED
) WITH (
  'connector' = 'jdbc', 'url' = '${jdbc_url}', 'table-name' = 'candles',
  'sink.buffer-flush.max-rows' = '2000', 'sink.buffer-flush.interval' = '100 ms'
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

-- Every record with the reason why it cannot be counted, or NULL. A record that is no JSON object is not in this view.
-- The rules admit only values that the sinks accept: Postgres refuses some texts and times at any time. No rule depends
-- on when a record is read, so that a replay gives every record the same verdict; the producer judges lateness.
CREATE TEMPORARY VIEW judged AS
SELECT *,
  CASE
    WHEN `type` = 'trade' THEN
      CASE
        -- One expression accepts an ordinary trade; the rules below find the reason for any other.
        WHEN REGEXP(symbol || ' ' || id || ' ' || price || ' ' || size || ' ' || turnover, '${ordinary_trade}')
          AND side IN ('Buy', 'Sell') AND `time` BETWEEN 1 AND ${max_us} AND seq >= 0 THEN CAST(NULL AS STRING)
        WHEN REGEXP(symbol, '^${symbol}$$') IS NOT TRUE THEN 'unreadable_symbol'
        WHEN `time` BETWEEN 1 AND ${max_us} IS NOT TRUE THEN 'unreadable_time'
        WHEN side IN ('Buy', 'Sell') IS NOT TRUE THEN 'unknown_side'
        WHEN REGEXP(size, '^${number}$$') IS NOT TRUE THEN 'unreadable_size'
        WHEN NOT REGEXP(size, '^${positive}') THEN 'size_not_positive'
        WHEN NOT REGEXP(size, '^${amount}$$') THEN 'size_out_of_range'
        WHEN REGEXP(price, '^${number}$$') IS NOT TRUE THEN 'unreadable_price'
        WHEN NOT REGEXP(price, '^${positive}') THEN 'price_not_positive'
        WHEN NOT REGEXP(price, '^${amount}$$') THEN 'price_out_of_range'
        WHEN REGEXP(id, '^${trade_id}$$') IS NOT TRUE THEN 'unreadable_trade_id'
        WHEN seq >= 0 IS NOT TRUE THEN 'unreadable_sequence'
        WHEN REGEXP(turnover, '^${number}$$') IS NOT TRUE THEN 'unreadable_turnover'
        ELSE 'turnover_out_of_range'
      END
    WHEN `type` = 'heartbeat' THEN
      CASE
        WHEN `time` BETWEEN 1 AND ${max_us} IS NOT TRUE OR lag_ms IS NULL OR reconnects IS NULL
          OR REGEXP(ARRAY_JOIN(symbols, ' ', '?'), '^(${symbol}( ${symbol})*)?$$') IS NOT TRUE THEN 'unreadable_heartbeat'
      END
    WHEN `type` = 'gap' THEN
      CASE
        WHEN REGEXP(gap_id, '^[!-~]{1,200}$$') IS NOT TRUE OR REGEXP(symbol, '^${symbol}$$') IS NOT TRUE
          OR `from` BETWEEN 1 AND ${max_us} IS NOT TRUE OR `to` BETWEEN 1 AND ${max_us} IS FALSE
          OR state IS NULL THEN 'unreadable_gap'
        WHEN state NOT IN ('opened', 'closed') THEN 'unknown_state'
      END
    WHEN `type` = 'minute' THEN
      CASE
        WHEN REGEXP(symbol, '^${symbol}$$') IS NOT TRUE
          OR open_time BETWEEN 1 AND ${max_us} IS NOT TRUE OR open_time % 60000000 <> 0
          OR trade_count > 0 IS NOT TRUE OR confirmed IS NULL
          OR REGEXP(volume || ' ' || turnover, '^${sum} ${sum}$$') IS NOT TRUE THEN 'unreadable_minute'
      END
    ELSE 'unknown_type'
  END AS reason
FROM records;

CREATE TEMPORARY VIEW trades AS
SELECT symbol, id, `time`, seq, side, `partition`, `offset`,
  CAST(price AS DECIMAL(27, 9)) AS price, CAST(size AS DECIMAL(27, 9)) AS size,
  CAST(turnover AS DECIMAL(29, 9)) AS turnover,
  PROCTIME() AS arrival
FROM judged
WHERE `type` = 'trade' AND reason IS NULL AND `time` >= ${start_us};

-- sort_key orders trades as the core does, by (time, seq, price, id), price descending for a Sell: 17 characters of
-- time, 19 of seq, 29 of 10^18 + price or 10^18 - price, then the id.
-- The state of deduplication is one row per id: the number of its copies, and a hash of the content of the first.
CREATE TEMPORARY VIEW counted_trades AS
SELECT *, COUNT(*) OVER same_id AS copy, FIRST_VALUE(content) OVER same_id AS first_content
FROM (
  SELECT symbol, id, price, size, turnover, side = 'Buy' AS bought, arrival, `partition`, `offset`,
    CAST(TO_TIMESTAMP_LTZ((`time` / 60000000) * 60000, 3) AS TIMESTAMP(3)) AS open_time,
    LPAD(CAST(`time` AS STRING), 17, '0') || LPAD(CAST(seq AS STRING), 19, '0')
      || LPAD(CAST(CASE side WHEN 'Buy' THEN CAST('1000000000000000000' AS DECIMAL(28, 9)) + price
                             ELSE CAST('1000000000000000000' AS DECIMAL(28, 9)) - price END AS STRING), 29, '0')
      || id AS sort_key,
    HASH_CODE(CAST(`time` AS STRING) || side || CAST(price AS STRING) || ' ' || CAST(size AS STRING)) AS content
  FROM trades
)
WINDOW same_id AS (PARTITION BY symbol, id ORDER BY arrival ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);

-- What closes a minute: its records, each as one text that sorts by the count of trades, and the gaps that touch it, one
-- row a minute: of a gap longer than the topic keeps records, the last minutes, which alone can still have trades. Both
-- are in one branch, so that they stay in the order in which the topic has them.
CREATE TEMPORARY VIEW closings AS
SELECT symbol, first_us + (CAST(place AS BIGINT) - 1) * 60000000 AS open_us, closing, gap_id, gap_closed
FROM (
  SELECT symbol,
    CASE `type` WHEN 'minute' THEN open_time ELSE (marked_us / 60000000) * 60000000 END AS first_us,
    CASE `type` WHEN 'minute' THEN
      LPAD(CAST(trade_count AS STRING), 19, '0') || CASE WHEN confirmed THEN ' 1 ' ELSE ' 0 ' END || volume || ' ' || turnover
    END AS closing,
    CASE `type` WHEN 'gap' THEN gap_id END AS gap_id,
    CASE `type` WHEN 'gap' THEN state = 'closed' END AS gap_closed,
    1 + CASE WHEN `type` = 'gap' AND `to` > `from` THEN CAST(`to` / 60000000 - marked_us / 60000000 AS INT) ELSE 0 END AS minute_count
  FROM (SELECT *, CASE WHEN `to` - `from` > ${max_gap_us} THEN `to` - ${max_gap_us} ELSE `from` END AS marked_us FROM judged)
  WHERE `type` IN ('gap', 'minute') AND reason IS NULL
)
-- A text of that many characters, split into them, gives a row a minute.
CROSS JOIN UNNEST(SPLIT(REPEAT('m', minute_count), '')) WITH ORDINALITY AS minutes (m, place)
WHERE first_us + (CAST(place AS BIGINT) - 1) * 60000000 >= ${start_us};

-- The parts of a minute: its trades, and what closes it. Trades take another way and may come after what follows them in
-- the topic, so they are counted and not waited for.
CREATE TEMPORARY VIEW parts AS
SELECT *,
  -- Always 'live', in a form that the planner does not fold: it drops a constant from the key of an aggregate.
  CASE WHEN symbol IS NULL THEN '' ELSE 'live' END AS source
FROM (
SELECT symbol, open_time, sort_key, price, size, turnover, bought,
  CAST(NULL AS STRING) AS closing, CAST(NULL AS STRING) AS gap_id, CAST(NULL AS BOOLEAN) AS gap_closed
FROM counted_trades WHERE copy = 1
UNION ALL
SELECT symbol, CAST(TO_TIMESTAMP_LTZ(open_us / 1000, 3) AS TIMESTAMP(3)), CAST(NULL AS STRING),
  CAST(NULL AS DECIMAL(27, 9)), CAST(NULL AS DECIMAL(27, 9)), CAST(NULL AS DECIMAL(29, 9)), CAST(NULL AS BOOLEAN),
  closing, gap_id, gap_closed
FROM closings
);

-- The key of the aggregate is exactly the sink's, and no HAVING filters changes, so that only updates reach the sink.
-- With retractions it would delete each row before it writes the row again.
-- No sum overflows: a turnover has at most 20 integer digits and a sum 29, which only a billion trades a minute exceed.
INSERT INTO candles
SELECT symbol, open_time, source,
  CAST(ABS(CAST(SUBSTRING(MIN(sort_key), 37, 29) AS DECIMAL(28, 9)) - CAST('1000000000000000000' AS DECIMAL(28, 9)))
    AS DECIMAL(27, 9)),
  MAX(price), MIN(price),
  CAST(ABS(CAST(SUBSTRING(MAX(sort_key), 37, 29) AS DECIMAL(28, 9)) - CAST('1000000000000000000' AS DECIMAL(28, 9)))
    AS DECIMAL(27, 9)),
  SUM(size), SUM(turnover), COUNT(sort_key),
  COALESCE(SUM(size) FILTER (WHERE bought), 0), COALESCE(SUM(turnover) FILTER (WHERE bought), 0),
  SUBSTRING(MIN(sort_key), 66), SUBSTRING(MAX(sort_key), 66),
  CASE
    WHEN COUNT(DISTINCT gap_id) FILTER (WHERE gap_closed) < COUNT(DISTINCT gap_id) THEN 'partial'
    WHEN COUNT(sort_key) >= CAST(SUBSTRING(MAX(closing), 1, 19) AS BIGINT) THEN
      CASE WHEN COUNT(DISTINCT gap_id) > 0 THEN 'repaired' ELSE 'final' END
    ELSE 'forming'
  END,
  -- The record with the highest count, of several the confirmed one.
  COALESCE(SUBSTRING(MAX(closing), 21, 1) = '1'
    AND COUNT(sort_key) >= CAST(SUBSTRING(MAX(closing), 1, 19) AS BIGINT)
    AND SUM(size) = CAST(SPLIT_INDEX(MAX(closing), ' ', 2) AS DECIMAL(38, 9))
    AND SUM(turnover) = CAST(SPLIT_INDEX(MAX(closing), ' ', 3) AS DECIMAL(38, 9)), FALSE)
FROM parts
GROUP BY symbol, open_time, source;

-- Every partition has the same heartbeats, so those of one partition are enough.
INSERT INTO feed_status
SELECT named, CAST(TO_TIMESTAMP_LTZ(`time` / 1000, 3) AS TIMESTAMP(3)), lag_ms, reconnects
FROM judged CROSS JOIN UNNEST(symbols) AS names (named)
WHERE `type` = 'heartbeat' AND reason IS NULL AND `partition` = 0;

INSERT INTO gaps
SELECT gap_id, symbol, CAST(TO_TIMESTAMP_LTZ(`from` / 1000, 3) AS TIMESTAMP(3)),
  CAST(TO_TIMESTAMP_LTZ(`to` / 1000, 3) AS TIMESTAMP(3)), state
FROM judged
WHERE `type` = 'gap' AND reason IS NULL;

-- The record of a trade whose id came before with other content is rebuilt from the columns of counted_trades.
INSERT INTO dead_letters
SELECT reason,
  JSON_OBJECT('type' VALUE `type`, 'symbol' VALUE symbol, 'id' VALUE id, 'time' VALUE `time`, 'seq' VALUE seq,
    'side' VALUE side, 'price' VALUE price, 'size' VALUE size, 'turnover' VALUE turnover,
    'gap_id' VALUE gap_id, 'from' VALUE `from`, 'to' VALUE `to`, 'state' VALUE state,
    'open_time' VALUE open_time, 'trade_count' VALUE trade_count, 'volume' VALUE volume,
    'confirmed' VALUE confirmed ABSENT ON NULL),
  `partition`, `offset`
FROM judged
WHERE reason IS NOT NULL
UNION ALL
SELECT 'id_with_other_content',
  JSON_OBJECT('type' VALUE 'trade', 'symbol' VALUE symbol, 'id' VALUE id,
    'time' VALUE CAST(SUBSTRING(sort_key, 1, 17) AS BIGINT), 'seq' VALUE CAST(SUBSTRING(sort_key, 18, 19) AS BIGINT),
    'side' VALUE CASE WHEN bought THEN 'Buy' ELSE 'Sell' END, 'price' VALUE CAST(price AS STRING),
    'size' VALUE CAST(size AS STRING), 'turnover' VALUE CAST(turnover AS STRING)),
  `partition`, `offset`
FROM counted_trades
WHERE copy > 1 AND content <> first_content
UNION ALL
SELECT 'not_json', line, `partition`, `offset`
FROM lines
-- The expression accepts nothing but JSON objects, and costs a fraction of reading one.
WHERE REGEXP(line, '${ordinary_line}') IS NOT TRUE
  AND (line IS NULL OR line IS NOT JSON OBJECT OR POSITION(U&'\FFFD' IN line) > 0);
