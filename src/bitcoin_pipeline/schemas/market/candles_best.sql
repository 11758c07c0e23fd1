-- One row per symbol and minute, the best by the core's precedence of sources: a test holds the CASE to it.
--
-- A filter on symbol or open_time decides for whole groups of the window, so it may be applied before the window, and
-- BigQuery can prune partitions by it; a filter on any other column may not. The columns of PARTITION BY are therefore
-- the table's own, without expressions, and the table is named once: no join has a second scan that a filter on the
-- first does not prune. BigQuery's documentation promises pruning only for a filter beside the table, so the project's
-- own readers set the condition instead of a filter outside. The view is created with the condition TRUE, and with its
-- project, which the API requires in views.
SELECT *${columns}
FROM `${project}.market.candles`
WHERE ${condition}
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY symbol, open_time
  ORDER BY
    CASE
      WHEN source = 'archive' AND status IN ('final', 'repaired') THEN 1
      WHEN source = 'live' AND status IN ('final', 'repaired') THEN 2
      WHEN source = 'kline' THEN 3
      WHEN source = 'archive' THEN 4
      WHEN source = 'live' THEN 5
      ELSE 6
    END
) = 1
