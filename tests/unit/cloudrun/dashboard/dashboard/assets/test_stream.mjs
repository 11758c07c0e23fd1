/* The bars on the chart after events of the stream, and the stream itself. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { bar, barsFrom, event, settle } from '../../../../../support/page.mjs';
import { LIVE, NEWEST, closes, live, opened, pushed, times } from '../../../../../support/store.mjs';

const DAY = 86400;

// Live bars.

test('the newest minute is replaced as it grows, and followed by the next', async () => {
  const made = await live();
  await pushed(made, bar(NEWEST, { close: 101 }), bar(NEWEST, { close: 102 }), bar(NEWEST + 60, { close: 103 }));
  assert.deepEqual(times(made.chart).slice(-3), [-1, 0, 1]);
  assert.deepEqual(closes(made.chart, 3), [100, 102, 103]);
  assert.equal(made.store.newest, NEWEST + 60);
});

test('an event that comes twice changes nothing', async () => {
  const made = await live();
  const rows = [bar(NEWEST, { close: 101 }), bar(NEWEST + 60)];
  await pushed(made, ...rows);
  const before = [...made.chart.bars];
  await pushed(made, ...rows, rows[0]);
  assert.deepEqual(made.chart.bars, before);
});

test('a minute that changes behind the newest is replaced where it stands', async () => {
  const made = await live();
  await pushed(made, bar(NEWEST + 60), bar(NEWEST - 60, { close: 99, doubt: 1 }));
  assert.deepEqual(closes(made.chart, 3), [99, 100, 100]);
  assert.equal(made.chart.bars.at(-3).doubt, 1);
  assert.equal(made.store.newest, NEWEST + 60);
});

test('minutes may come in any order', async () => {
  const made = await live();
  await pushed(made, bar(NEWEST + 180), bar(NEWEST + 60), bar(NEWEST + 120));
  assert.deepEqual(times(made.chart).slice(-4), [0, 1, 2, 3]);
});

test('however many events come before a frame, all of them are drawn in it', async () => {
  const made = await live();
  for (let i = 1; i <= 5; i++) made.page.push(event(bar(NEWEST + 60 * i)));
  assert.equal(made.chart.bars.length, 100);
  await made.page.clock.frame();
  assert.equal(made.chart.bars.length, 105);
});

test('events that come while bars are read are applied to what was read', async () => {
  const made = await live();
  const release = made.held();
  made.store.load(LIVE);
  await pushed(made, bar(NEWEST, { close: 105 }), bar(NEWEST + 60));
  assert.deepEqual(closes(made.chart, 1), [100]);
  await release();
  assert.deepEqual(times(made.chart).slice(-2), [0, 1]);
  assert.deepEqual(closes(made.chart, 2), [105, 100]);
});

test('events of the interval that was shown before are dropped', async () => {
  const made = await live({ '1m': barsFrom(NEWEST - 99 * 60, 100), '1h': barsFrom(NEWEST - 59 * 60 - 7200, 3, 3600) });
  const release = made.held();
  const loading = made.store.load({ symbol: 'BTCUSDT', interval: '1h', span: DAY });
  await pushed(made, bar(NEWEST + 60));
  await release();
  await loading;
  await made.page.clock.frame();
  assert.equal(made.chart.bars.at(-1).time, NEWEST - 59 * 60);
  assert.deepEqual(
    made.page.streams.map(({ url, readyState }) => [new URLSearchParams(url.split('?')[1]).get('interval'), readyState]),
    [
      ['1m', 2],
      ['1h', 0],
    ],
  );
});

test('live bars are not drawn beside a range of the past', async () => {
  const made = opened({ '1m': barsFrom(NEWEST - 4999 * 60, 5000) });
  await made.store.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - 4000 * 60, to: NEWEST - 3900 * 60 });
  made.server.newest = NEWEST + 60;
  await pushed(made, bar(NEWEST + 60));
  assert.ok(times(made.chart).at(-1) < -2000);
  assert.equal(made.store.newest, NEWEST + 60);
});

test('a bar that has changed is requested and replaced', async () => {
  const made = await live();
  made.server.bars['1m'] = made.server.bars['1m'].map((one, i) => (i === 40 ? { ...one, close: 98, doubt: 1 } : one));
  await made.page.push({ changed: NEWEST - 59 * 60 });
  assert.deepEqual([made.chart.bars[40].close, made.chart.bars[40].doubt], [98, 1]);
  assert.deepEqual(closes(made.chart, 59), Array.from({ length: 59 }, () => 100));
});

test('a bar that changes while all are read again keeps its newest form', async () => {
  const made = await live();
  const release = made.held();
  made.page.push({ reset: 1 }); // is read before the change, and answered after it
  await settle();
  made.server.bars['1m'] = made.server.bars['1m'].map((one, i) => (i === 40 ? { ...one, close: 98, doubt: 1 } : one));
  await made.page.push({ changed: NEWEST - 59 * 60 });
  await release();
  assert.deepEqual([made.chart.bars[40].close, made.chart.bars[40].doubt], [98, 1]);
});

test('memory is bounded: of very many live bars the oldest go', async () => {
  const made = await live();
  for (let i = 0; i < 11_000; i += 1000) {
    await pushed(made, ...barsFrom(NEWEST + 60 + 60 * i, 1000)); // oxlint-disable-line no-await-in-loop -- in order
  }
  const { length } = made.chart.bars;
  assert.ok(length >= 10_000 && length <= 11_000, String(length));
  assert.equal(made.chart.bars.at(-1).time, NEWEST + 60 * 11_000);
});

// The stream.

test('the stream goes on where it was, and anew with another symbol', async () => {
  const made = await live();
  await made.page.push({ state: { lag: 5 } }, 'abc-7');
  await made.page.hide(true);
  assert.deepEqual([made.store.stream, made.page.streams[0].readyState], [null, 2]);
  await made.page.hide(false);
  made.store.clear();
  await made.store.load({ ...LIVE, symbol: 'ETHUSDT' });
  const queries = made.page.streams.map(({ url }) => Object.fromEntries(new URLSearchParams(url.split('?')[1])));
  assert.deepEqual(queries, [
    { symbol: 'BTCUSDT', interval: '1m', after: '' },
    { symbol: 'BTCUSDT', interval: '1m', after: 'abc-7' },
    { symbol: 'ETHUSDT', interval: '1m', after: '' },
  ]);
});

test('trades and the state of the feed are passed on', async () => {
  const made = await live();
  const trade = [NEWEST * 1000, 100.5, 0.01, 1];
  await made.page.push({ trades: [trade] });
  await made.page.push({ state: { lag: 5 } });
  assert.deepEqual([made.reported.trades, made.reported.feeds], [[[trade]], [{ lag: 5 }]]);
});

test('a stream that is silent for ten seconds is opened anew', async () => {
  const made = await live();
  await made.page.clock.advance(7500);
  await made.page.push({ state: {} });
  await made.page.clock.advance(7500);
  assert.equal(made.page.streams.length, 1);
  await made.page.clock.advance(2500);
  assert.equal(made.page.streams.length, 2);
  assert.deepEqual(made.reported.connections, [false]);
});

test('a stream that was refused is opened again after three seconds', async () => {
  const made = await live();
  const [stream] = made.page.streams;
  stream.close();
  for (const call of stream.listeners.error) call({});
  await made.page.clock.advance(2999);
  assert.equal(made.page.streams.length, 1);
  await made.page.clock.advance(1);
  assert.equal(made.page.streams.length, 2);
});

test('of another symbol nothing stays', async () => {
  const made = await live();
  made.page.push(event(bar(NEWEST + 60)));
  made.store.clear();
  await made.page.clock.frame();
  assert.deepEqual([made.chart.bars, made.store.shown, made.store.stream], [[], null, null]);
});
