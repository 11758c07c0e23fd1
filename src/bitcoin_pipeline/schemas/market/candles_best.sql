-- One row per symbol and minute, the best by the core's precedence of sources: a test holds the CASE to it.
SELECT *
FROM `market.candles`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY symbol, open_time
  ORDER BY
    CASE
      WHEN source = 'archive' THEN 1
      WHEN source = 'live' AND status IN ('final', 'repaired') THEN 2
      WHEN source = 'kline' THEN 3
      ELSE 4
    END
) = 1
