-- To be run in one transaction: old values are copied to the history, then fresh rows inserted where none is stored.
INSERT INTO `market.candle_history` ($columns, updated_at, replaced_at, replaced_by)
SELECT $columns, updated_at, @now, @run FROM `market.candles` AS stored
WHERE ($in_reach) AND ($kept);
DELETE FROM `market.candles` AS stored WHERE ($in_reach) AND ($outdated);
INSERT INTO `market.candles` ($columns, updated_at)
SELECT $columns, $updated_at FROM $fresh AS fresh
WHERE NOT EXISTS (
  SELECT 1 FROM `market.candles` AS stored
  WHERE ($in_reach)
    AND stored.symbol = fresh.symbol AND stored.open_time = fresh.open_time AND stored.source = fresh.source
);
