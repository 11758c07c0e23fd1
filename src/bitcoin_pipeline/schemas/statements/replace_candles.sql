-- One transaction replaces candles by fresh ones and leaves one row per key, whatever the table holds.
-- BigQuery cancels one of two concurrent transactions only where both update or delete rows of the same table; two
-- that insert alone both commit. So every publisher updates the lock's row first. A row that is absent is inserted
-- before the transaction begins; if two publishers do so at once, the later transaction sees, and updates, both rows.
INSERT INTO `market.locks` (table_name)
SELECT 'market.candles' FROM (SELECT 1) AS one
WHERE NOT EXISTS (SELECT 1 FROM `market.locks` WHERE table_name = 'market.candles');
BEGIN TRANSACTION;
UPDATE `market.locks` SET locked_by = @run, locked_at = @now WHERE table_name = 'market.candles';
$prepare
INSERT INTO `market.candle_history` ($columns, updated_at, replaced_at, replaced_by)
SELECT DISTINCT $columns, updated_at, @now, @run FROM `market.candles` AS stored
WHERE ($in_reach) AND ($replaceable) AND ($kept);
DELETE FROM `market.candles` AS stored WHERE ($in_reach) AND ($replaceable) AND ($outdated OR $doubled);
INSERT INTO `market.candles` ($columns, updated_at)
SELECT $columns, $updated_at FROM $fresh AS fresh
WHERE NOT EXISTS (
  SELECT 1 FROM `market.candles` AS stored
  WHERE ($in_reach)
    AND stored.symbol = fresh.symbol AND stored.open_time = fresh.open_time AND stored.source = fresh.source
);
$finish
COMMIT TRANSACTION;
