/* The bars on the chart after answers of the server, in whatever order these come. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { MIDNIGHT, bar, barsFrom, settle } from '../../../../../support/page.mjs';
import { LIVE, NEWEST, closes, live, opened, pushed, times } from '../../../../../support/store.mjs';

const DAY = 86400;
const FAR_PAST = 100; // days

const queries = (page) => page.requests.map(([, { start, end, span, interval }]) => ({ start, end, span, interval }));

// Loading.

test('an answer becomes bars, with every field', async () => {
  const one = bar(NEWEST, { open: 1, high: 4, low: 0.5, close: 2, volume: 9, turnover: 18, count: 7, bought: 5, doubt: 2 });
  const { chart, store, page, reported } = await live({ '1m': [one] });
  assert.deepEqual(chart.bars, [one]);
  const units = { price: 'USDT', volume: 'BTC', turnover: 'USDT' };
  assert.deepEqual(store.shown, { symbol: 'BTCUSDT', interval: '1m', step: 60, units, isInverse: false, isCut: false });
  assert.deepEqual([store.newest, store.isAttached, store.isBusy], [NEWEST, true, false]);
  assert.deepEqual(page.requests, [['/api/candles', { symbol: 'BTCUSDT', interval: '1m', span: '6000', slide: '1' }]]);
  assert.deepEqual(reported.answers, [{ state: 'loading' }, { state: 'ready', fault: '', age: 0, isCut: false }]);
});

test('the newest bars have room beside them, a range with an end of its own has none', async () => {
  const { chart, store } = await live();
  assert.deepEqual(chart.range(), { from: -0.5, to: 106 });
  await store.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - 600, to: NEWEST });
  assert.deepEqual(chart.range(), { from: -0.5, to: 9.5 });
});

test('a range in the past is not attached to the newest bar, one that ends with it is', async () => {
  const { store } = opened();
  await store.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - 600, to: NEWEST });
  assert.equal(store.isAttached, false);
  await store.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - 600, to: NEWEST + 60 });
  assert.equal(store.isAttached, true);
});

test('a bar that holds the newest minute is the newest', async () => {
  const { store } = opened({ '1h': barsFrom(NEWEST - 59 * 60 - 3600, 2, 3600) });
  await store.load({ symbol: 'BTCUSDT', interval: '1h', span: DAY });
  assert.equal(store.isAttached, true);
});

test('the answer to an older request is dropped', async () => {
  const { chart, store, held } = opened();
  const release = held();
  const older = store.load({ ...LIVE, span: 600 });
  await store.load(LIVE);
  assert.equal(chart.bars.length, 100);
  await release();
  await older;
  assert.equal(chart.bars.length, 100);
  assert.equal(store.isBusy, false);
});

test('no bars are an empty chart, and the first live bar loads it', async () => {
  const made = await live({ '1m': [] });
  const { chart, server, reported } = made;
  assert.equal(reported.answers.at(-1).state, 'empty');
  server.bars['1m'] = [bar(NEWEST)];
  await pushed(made, bar(NEWEST));
  assert.deepEqual(times(chart), [0]);
  assert.equal(reported.answers.at(-1).state, 'ready');
});

test('while loading fails, live bars cause no further requests', async () => {
  const made = await live({ '1m': [] });
  made.server.failing = { status: 503, error: 'busy' };
  for (let i = 0; i < 5; i++) await pushed(made, bar(NEWEST)); // oxlint-disable-line no-await-in-loop -- in order
  assert.equal(made.page.requests.length, 2);
  made.server.failing = undefined;
  made.server.bars['1m'] = [bar(NEWEST)];
  await made.page.clock.advance(3000);
  assert.deepEqual(times(made.chart), [0]);
});

test('a range without bars stays empty when live ones come', async () => {
  const made = opened();
  await made.store.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - FAR_PAST * DAY, to: NEWEST - FAR_PAST * DAY + 60 });
  await pushed(made, bar(NEWEST + 60));
  assert.deepEqual(made.chart.bars, []);
  assert.equal(made.page.requests.length, 1);
});

test('what failed is loaded again after three seconds, what was refused is not', async () => {
  const { page, server, chart, store, reported } = opened();
  server.failing = { status: 503, error: 'busy' };
  await store.load(LIVE);
  assert.deepEqual(reported.answers.at(-1), { state: 'failed', reason: 'busy', isRefused: false });
  server.failing = undefined;
  await page.clock.advance(2999);
  assert.equal(chart.bars.length, 0);
  await page.clock.advance(1);
  assert.equal(chart.bars.length, 100);
  server.failing = { status: 400, error: 'no' };
  await store.load(LIVE);
  await page.clock.advance(60_000);
  assert.equal(queries(page).filter(({ span }) => span).length, 3);
});

test('in a hidden page a failed load is retried when the page is shown again', async () => {
  const { page, server, chart, store } = opened();
  server.failing = { status: 503, error: 'busy' };
  await store.load(LIVE);
  server.failing = undefined;
  await page.hide(true);
  await page.clock.advance(60_000);
  assert.equal(page.requests.length, 1);
  await page.hide(false);
  assert.equal(chart.bars.length, 100);
});

test('history that cannot be read is requested again, in place when some of it is there', async () => {
  const { page, server, chart, reported } = await live();
  server.fault = 'away';
  server.age = 300;
  await page.push({ reset: 1 });
  assert.deepEqual(reported.answers.at(-1), { state: 'ready', fault: 'away', age: 300, isCut: false });
  server.fault = '';
  const { length } = page.requests;
  await page.clock.advance(11_000);
  assert.equal(page.requests.length, length + 1);
  assert.deepEqual([chart.bars.length, reported.answers.at(-1).fault], [100, '']);
  await page.clock.advance(11_000);
  assert.equal(page.requests.length, length + 1);
});

// All that is shown, again.

test('after a reset what is shown is read again, and what was missed comes with it', async () => {
  const made = await live();
  made.server.bars['1m'] = barsFrom(NEWEST - 99 * 60, 105, 60, () => ({ close: 99 }));
  made.server.newest = NEWEST + 300;
  await made.page.push({ reset: 1 });
  assert.deepEqual([made.chart.bars.length, made.store.newest, made.reported.resets], [105, NEWEST + 300, 1]);
  assert.deepEqual(new Set(closes(made.chart, 105)), new Set([99]));
  assert.deepEqual(made.chart.range(), { from: 4.5, to: 111 });
});

test('where more was missed than one answer holds, it begins anew at the newest', async () => {
  const made = await live();
  const newest = NEWEST + 3000 * 60;
  made.server.bars['1m'] = barsFrom(NEWEST - 99 * 60, 3100);
  made.server.newest = newest;
  await made.page.push({ reset: 1 });
  assert.deepEqual([made.chart.bars.length, made.chart.bars.at(-1).time], [100, newest]);
});

test('what could not be read again stays, and is read three seconds later', async () => {
  const made = await live();
  made.server.failing = { status: 503, error: 'busy' };
  await made.page.push({ reset: 1 });
  assert.equal(made.chart.bars.length, 100);
  made.server.failing = undefined;
  made.server.bars['1m'] = barsFrom(NEWEST - 99 * 60, 101);
  made.server.newest = NEWEST + 60;
  await made.page.clock.advance(3000);
  assert.equal(made.chart.bars.length, 101);
});

test('a range of the past is read again as far as it goes', async () => {
  const made = opened();
  await made.store.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - 600, to: NEWEST - 300 });
  await made.page.push({ reset: 1 });
  assert.deepEqual(times(made.chart), [-10, -9, -8, -7, -6]);
});

test('every five minutes the bars are read again, unless the page is hidden', async () => {
  const made = await live();
  await made.page.clock.advance(299_000);
  assert.equal(made.page.requests.length, 1);
  await made.page.clock.advance(1000);
  assert.equal(made.page.requests.length, 2);
  await made.page.hide(true);
  await made.page.clock.advance(600_000);
  assert.equal(made.page.requests.length, 2);
});

// Further bars.

/* 5,000 minutes up to the newest, of which 100 are shown. */
const deep = () => live({ '1m': barsFrom(NEWEST - 4999 * 60, 5000) });

async function moveTo({ page, chart }, from, to) {
  chart.show(from, to);
  await page.clock.frame();
  await settle();
}

test('near the first bar older ones are requested, and the view stays', async () => {
  const made = await deep();
  await moveTo(made, 10, 60);
  assert.equal(made.chart.bars.length, 1100);
  assert.deepEqual(made.chart.range(), { from: 1010, to: 1060 });
  assert.deepEqual(times(made.chart).slice(0, 1), [-1099]);
  assert.equal(made.store.isAttached, true);
});

test('older bars reach over a stretch without any', async () => {
  const old = barsFrom(NEWEST - 30 * DAY, 10);
  const made = await live({ '1m': [...old, ...barsFrom(NEWEST - 99 * 60, 100)] });
  await moveTo(made, 10, 60);
  assert.deepEqual(made.chart.bars.slice(0, 10), old);
  assert.equal(made.chart.bars.length, 110);
});

/*  30 days ago             room         live
    |xx|                |              xxxx|  the price may be another one by far  */
test('room before the first bar is not filled from across a long gap, until the chart is moved', async () => {
  const old = barsFrom(NEWEST - 30 * DAY, 10);
  const made = await live({ '1m': [...old, ...barsFrom(NEWEST - 9 * 60, 10)] });
  await moveTo(made, -40, 10);
  const { length } = made.page.requests;
  await moveTo(made, -39, 11);
  assert.deepEqual([made.chart.bars.length, made.page.requests.length], [10, length]);
  made.store.touch();
  await moveTo(made, -41, 9);
  assert.deepEqual(made.chart.bars.slice(0, 10), old);
  assert.deepEqual(made.chart.range(), { from: -31, to: 19 });
});

test('history that is loaded meanwhile fills the room within a minute', async () => {
  const bars = { '1m': barsFrom(NEWEST - 9 * 60, 10) };
  const made = await live(bars);
  await moveTo(made, -40, 10);
  bars['1m'].unshift(...barsFrom(NEWEST - 2 * DAY, 20));
  await made.page.clock.advance(61_000);
  assert.deepEqual(times(made.chart).slice(0, 21), [...Array.from({ length: 20 }, (_, i) => i - 2 * 1440), -9]);
});

test('at the very first bar no older ones are requested any more', async () => {
  const made = await live();
  await moveTo(made, 10, 60);
  const { length } = made.page.requests;
  await moveTo(made, 5, 55);
  assert.equal(made.page.requests.length, length);
});

test('older bars that could not be read are requested again a little later', async () => {
  const made = await deep();
  made.server.failing = { status: 503, error: 'busy' };
  await moveTo(made, 10, 60);
  made.server.failing = undefined;
  await moveTo(made, 11, 61);
  assert.equal(made.chart.bars.length, 100);
  await made.page.clock.advance(3000);
  await moveTo(made, 12, 62);
  assert.equal(made.chart.bars.length, 1100);
});

test('memory is bounded: far in the past the newest bars go, and come back on the way', async () => {
  const made = await live({ '1m': barsFrom(NEWEST - 19_999 * 60, 20_000) });
  for (let i = 0; i < 11; i++) await moveTo(made, 10, 60); // oxlint-disable-line no-await-in-loop -- one after the other
  assert.deepEqual([made.chart.bars.length, made.store.isAttached], [10_000, false]);
  await moveTo(made, 9900, 9950);
  assert.deepEqual([made.chart.bars.length, made.store.isAttached], [10_000, false]);
  await moveTo(made, 9900, 9950);
  assert.equal(made.store.isAttached, true);
  assert.equal(made.chart.bars.at(-1).time, NEWEST);
});

test('near the last bar of a range newer ones are requested, until the newest is there', async () => {
  const made = opened({ '1m': barsFrom(NEWEST - 4999 * 60, 5000) });
  await made.store.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - 1600 * 60, to: NEWEST - 1400 * 60 });
  await moveTo(made, 150, 190);
  assert.equal(times(made.chart).at(-1), -401);
  assert.equal(made.store.isAttached, false);
  await moveTo(made, 1150, 1190);
  await moveTo(made, made.chart.bars.length - 40, made.chart.bars.length);
  assert.deepEqual([times(made.chart).at(-1), made.store.isAttached], [0, true]);
  await pushed(made, bar(NEWEST + 60));
  assert.equal(times(made.chart).at(-1), 1);
});

/*  shown    a day without candles          loaded              live
    |xxxxx|                          |xxxxxxx ... xxxx|   ... |xxxx|  */
test('newer bars reach over a stretch without any, and leave none out', async () => {
  const first = MIDNIGHT - 30 * DAY;
  const shown = barsFrom(first, 60);
  const next = barsFrom(first + 2 * DAY, 2000);
  const daily = [first, first + 2 * DAY, first + 3 * DAY, MIDNIGHT].map((time) => bar(time));
  const made = opened({ '1m': [...shown, ...next, ...barsFrom(NEWEST - 99 * 60, 100)], '1d': daily });
  await made.store.load({ symbol: 'BTCUSDT', interval: '1m', from: first, to: first + 3600 });
  await moveTo(made, 10, 50);
  assert.equal(made.chart.bars[60]?.time, next[0].time);
  assert.equal(made.store.isAttached, false);
  for (let i = 0; i < 4; i++) {
    const { length } = made.chart.bars;
    await moveTo(made, length - 40, length); // oxlint-disable-line no-await-in-loop -- one after the other
  }
  assert.equal(made.chart.bars.length, 60 + 2000 + 100);
  assert.equal(made.store.isAttached, true);
});

test('newer bars reach over a stretch without any where nothing is live, and end where history does', async () => {
  const first = MIDNIGHT - 30 * DAY;
  const [shown, next] = [barsFrom(first, 60), barsFrom(first + 2 * DAY + 13 * 3600, 100)];
  const made = opened({ '1m': [...shown, ...next], '1d': [bar(first), bar(first + 2 * DAY)] }, null);
  await made.store.load({ symbol: 'BTCUSDT', interval: '1m', from: first, to: first + 3600 });
  await moveTo(made, 10, 50);
  assert.equal(made.chart.bars[60]?.time, next[0].time);
  await moveTo(made, 110, 150);
  const { length } = made.page.requests;
  await moveTo(made, 115, 155);
  assert.deepEqual([made.chart.bars.length, made.page.requests.length], [160, length]);
});

/*  shown        window without candles
    |xx ......... ]                    | next day
    all of the day's candles lie before what is sought */
test('a day whose candles are all shown already leads on to the next one', async () => {
  const first = MIDNIGHT - 30 * DAY;
  const next = barsFrom(first + 3 * DAY, 100);
  const made = opened({ '1m': [...barsFrom(first, 60), ...next], '1d': [bar(first), bar(first + 3 * DAY)] });
  await made.store.load({ symbol: 'BTCUSDT', interval: '1m', from: first, to: first + 3600 });
  await moveTo(made, 10, 50);
  assert.equal(made.chart.bars[60]?.time, next[0].time);
});

test('newer bars that could not be read are requested with the next move', async () => {
  const made = opened({ '1m': barsFrom(NEWEST - 4999 * 60, 5000) });
  await made.store.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - 3600 * 60, to: NEWEST - 3000 * 60 });
  made.server.failing = { status: 503, error: 'busy' };
  await moveTo(made, 400, 590);
  assert.equal(made.chart.bars.length, 600);
  made.server.failing = undefined;
  await moveTo(made, 401, 591);
  assert.equal(times(made.chart).at(-1), -2001);
});
