/* The texts of the legend. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { drawLegend } from '../../../../../../cloudrun/dashboard/dashboard/assets/legend.js';
import { CONFIG, MIDNIGHT, bar, barsFrom } from '../../../../../support/page.mjs';
import { pairs, shown } from '../../../../../support/store.mjs';

/* A page with these bars; `write()` writes its legend. */
async function written(bars) {
  const made = await shown(bars);
  return { ...made, write: () => drawLegend(made.chart, made.store, CONFIG.statuses) };
}

test('the legend has every field of the newest candle, exact', async () => {
  const one = bar(MIDNIGHT, { open: 61000, high: 61000.5, low: 60999.5, close: 60999.75, volume: 0.3, bought: 0.1 });
  const { texts, write } = await written([{ ...one, turnover: 18300, count: 1234, doubt: 3, source: 'archive' }]);
  write();
  const [interval, time, ...rest] = texts('legend');
  assert.deepEqual([interval, time], ['1m', '2024-10-04 00:00 UTC']);
  assert.deepEqual(rest.slice(0, 8), ['O', '61,000.00', 'H', '61,000.50', 'L', '60,999.50', 'C', '60,999.75']);
  assert.deepEqual(rest.slice(8, 11), ['+0.00 %', 'partial', 'archive']);
  assert.deepEqual(pairs(rest.slice(11)), {
    Volume: '0.3 BTC',
    Bought: '0.1',
    Delta: '-0.1',
    Turnover: '18,300 USDT',
    VWAP: '61,000.00',
    Trades: '1,234',
  });
});

test('the legend is of the candle under the crosshair, with the time without candles before it', async () => {
  const { page, texts, write } = await written([bar(MIDNIGHT), bar(MIDNIGHT + 180, { close: 99 }), bar(MIDNIGHT + 240)]);
  page.chart.crosshair({ point: {}, logical: 1 });
  write();
  assert.equal(texts('legend')[1], '2024-10-04 00:03 UTC');
  assert.ok(texts('legend').includes('-1.00 %'));
  assert.ok(texts('legend').includes('no candles for 2 min before it'));
});

test('the mean price of an inverse symbol is its volume by its turnover', async () => {
  const { store, texts, write } = await written([bar(MIDNIGHT, { open: 64040, close: 64040, volume: 20000, turnover: 0.312304992 })]);
  Object.assign(store.shown, { units: { price: 'USD', volume: 'USD', turnover: 'BTC' }, isInverse: true });
  write();
  const { Volume, Turnover, VWAP } = pairs(texts('legend').slice(13));
  assert.deepEqual([Volume, Turnover, VWAP], ['20,000 USD', '0.312304992 BTC', '64,040']);
});

test('the legend has the trades that the other plane has, where it has all of them', async () => {
  const counts = { archive: 2, live: 1 };
  const { texts, write } = await written([bar(MIDNIGHT, { source: 'archive', counts })]);
  write();
  assert.equal(pairs(texts('legend').slice(13))['in live'], '1');
  const { texts: others, write: again } = await written([bar(MIDNIGHT)]);
  again();
  assert.ok(!others('legend').includes('in archive'));
});

test('the legend is of the last candle in sight while nothing is pointed at', async () => {
  const { page, chart, texts, write } = await written(barsFrom(MIDNIGHT, 10));
  chart.show(2, 5.5);
  await page.clock.frame();
  write();
  assert.equal(texts('legend')[1], '2024-10-04 00:05 UTC');
});

test('the source in the legend says how it was chosen', async () => {
  const { write } = await written([{ ...bar(MIDNIGHT), source: 'live' }]);
  write();
  const [line] = globalThis.document.getElementById('legend').children;
  const source = line.children.find(({ textContent }) => textContent === 'live');
  assert.match(source.title, /a complete one goes before a partial one, then the archive before live/);
});

test('the legend shows whether the exchange agrees with a closed candle', async () => {
  const shownFor = async (change) => {
    const { texts, write } = await written([bar(MIDNIGHT, change)]);
    write();
    return texts('legend').filter((text) => text.includes('confirmed'));
  };
  assert.deepEqual(await shownFor({ confirmed: true }), ['confirmed']);
  assert.deepEqual(await shownFor({ confirmed: false }), ['not confirmed']);
  assert.deepEqual(await shownFor({ confirmed: null }), []);
  assert.deepEqual(await shownFor({ confirmed: false, doubt: CONFIG.statuses.indexOf('forming') }), []);
});

test('what is not known is a dash in the legend', async () => {
  const { texts, write } = await written([bar(MIDNIGHT, { bought: null, count: null, volume: 0, turnover: 0 })]);
  write();
  const { Bought, Delta, VWAP, Trades } = pairs(texts('legend').slice(13));
  assert.deepEqual([Bought, Delta, VWAP, Trades], ['–', '–', '–', '–']);
});

test('without candles there is no legend', async () => {
  const { text, write } = await written([]);
  write();
  assert.equal(text('legend'), '');
});
