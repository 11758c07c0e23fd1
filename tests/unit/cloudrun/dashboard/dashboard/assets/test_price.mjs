/* The last price and the last 24 hours. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { clearPrice, drawPrice } from '../../../../../../cloudrun/dashboard/dashboard/assets/price.js';
import { createTradeList } from '../../../../../../cloudrun/dashboard/dashboard/assets/trades.js';
import { MIDNIGHT, bar } from '../../../../../support/page.mjs';
import { shown } from '../../../../../support/store.mjs';

const DAY = { since: MIDNIGHT, open: 100, high: 110, low: 90.5, volume: 1234567, delta: -2000 };

/* A page with these bars and a list of trades; `write(day)` writes the price. */
async function written(bars) {
  const made = await shown(bars);
  const trades = createTradeList(made.chart);
  const { chart, store } = made;
  const write = (day) => drawPrice({ chart, store, symbol: 'BTCUSDT', lastTrade: trades.last, day });
  return { ...made, trades, write };
}

test('the last price is that of the latest trade, else of the newest candle', async () => {
  const { page, trades, write, text } = await written([bar(MIDNIGHT, { close: 100.5 })]);
  write();
  assert.deepEqual([text('last'), page.document.title], ['100.5', '100.5 BTCUSDT']);
  trades.add([
    [MIDNIGHT * 1000 + 5, 101, 1, 0],
    [MIDNIGHT * 1000 + 4, 102, 1, 1],
  ]);
  write();
  assert.deepEqual([text('last'), page.elements.last.className], ['101.0', 'down']);
});

test('the day is compared with its beginning', async () => {
  const newest = bar(MIDNIGHT + 86400, { close: 105 });
  const { write, text, page } = await written([newest]);
  write(DAY);
  assert.deepEqual([text('change'), page.elements.change.className], ['+5.00 %', 'up']);
  assert.equal(text('day'), '24 h  H 110  L 90.5  V 1.23M BTC  Δ -2,000');
  write({ ...DAY, since: MIDNIGHT + 3600, delta: null });
  assert.equal(text('day'), 'since 01:00  H 110  L 90.5  V 1.23M BTC  Δ –');
});

test('of another symbol neither price nor trades stay', async () => {
  const { page, trades, write, text } = await written([bar(MIDNIGHT)]);
  trades.add([[MIDNIGHT * 1000, 100, 1, 1]]);
  write(DAY);
  trades.clear();
  clearPrice('BTCUSDT');
  assert.deepEqual([text('last'), text('trades'), text('day'), page.document.title], ['', '', '', 'BTCUSDT']);
  assert.equal(trades.last, null);
});
