/* What stands on the chart after answers of the server and events of the stream, in whatever order they come. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { MIDNIGHT, Server, bar, barsFrom, event, openPage, settle } from '../../../../../support/page.mjs';

const DAY = 86400;
const NEWEST = MIDNIGHT + DAY - 60;
const FAR_PAST = 100; // days

/* A page whose server has these bars; `held()` has the server wait with its next answer, until
   the returned function is called. */
function opened(bars = { '1m': barsFrom(NEWEST - 99 * 60, 100) }, newest = NEWEST) {
  const server = new Server(bars, newest);
  let answering = Promise.resolve();
  const page = openPage(['format', 'chart', 'data'], {
    async answer(_path, query) {
      const answer = server.failing ?? server.candles(query); // as of now, however long it takes
      const wait = answering;
      answering = Promise.resolve();
      await wait;
      return answer;
    },
  });
  const { candles, candleChart: chart } = page;
  chart.build(page.document.createElement('div'));
  const told = { answers: [], connections: [], feeds: [], trades: [], resets: 0 };
  Object.assign(candles.data.on, {
    answer: (answer) => told.answers.push(answer),
    connection: (is) => told.connections.push(is),
    feed: (state) => told.feeds.push(state),
    trades: (rows) => told.trades.push(rows),
    reset: () => told.resets++,
  });
  candles.data.start();
  function held() {
    let release = null;
    answering = new Promise((resolve) => {
      release = resolve;
    });
    return async () => {
      release();
      await settle();
    };
  }
  return { page, server, chart, data: candles.data, told, held };
}

const LIVE = { symbol: 'BTCUSDT', interval: '1m', span: 6000 };

/* The same with the last 100 minutes on the chart. */
async function live(...given) {
  const made = opened(...given);
  await made.data.load(LIVE);
  return made;
}

async function pushed({ page }, ...bars) {
  for (const one of bars) page.push(event(one));
  await page.clock.frame();
}

const times = ({ bars }) => bars.map(({ time }) => (time - NEWEST) / 60);
const closes = ({ bars }, count) => bars.slice(-count).map(({ close }) => close);
const asked = (page) => page.asked.map(([, { start, end, span, interval }]) => ({ start, end, span, interval }));

// Loading.

test('an answer becomes bars, with every field', async () => {
  const one = bar(NEWEST, { open: 1, high: 4, low: 0.5, close: 2, volume: 9, turnover: 18, count: 7, bought: 5, doubt: 2 });
  const { chart, data, page, told } = await live({ '1m': [one] });
  assert.deepEqual(chart.bars, [one]);
  assert.deepEqual(data.shown, { symbol: 'BTCUSDT', interval: '1m', step: 60 });
  assert.deepEqual([data.newest, data.isAttached, data.isBusy], [NEWEST, true, false]);
  assert.deepEqual(page.asked, [['/api/candles', { symbol: 'BTCUSDT', interval: '1m', span: '6000', slide: '1' }]]);
  assert.deepEqual(told.answers, [{ state: 'loading' }, { state: 'ready', fault: '', age: 0 }]);
});

test('the newest bars have room beside them, a range that was asked for has none', async () => {
  const { chart, data } = await live();
  assert.deepEqual(chart.range(), { from: -0.5, to: 106 });
  await data.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - 600, to: NEWEST });
  assert.deepEqual(chart.range(), { from: -0.5, to: 9.5 });
});

test('a range in the past is not attached to the newest bar, one that ends with it is', async () => {
  const { data } = opened();
  await data.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - 600, to: NEWEST });
  assert.equal(data.isAttached, false);
  await data.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - 600, to: NEWEST + 60 });
  assert.equal(data.isAttached, true);
});

test('a bar that holds the newest minute is the newest', async () => {
  const { data } = opened({ '1h': barsFrom(NEWEST - 59 * 60 - 3600, 2, 3600) });
  await data.load({ symbol: 'BTCUSDT', interval: '1h', span: DAY });
  assert.equal(data.isAttached, true);
});

test('what an older question brings is dropped', async () => {
  const { chart, data, held } = opened();
  const release = held();
  const older = data.load({ ...LIVE, span: 600 });
  await data.load(LIVE);
  assert.equal(chart.bars.length, 100);
  await release();
  await older;
  assert.equal(chart.bars.length, 100);
  assert.equal(data.isBusy, false);
});

test('no bars are an empty chart, and the first that comes loads it', async () => {
  const made = await live({ '1m': [] });
  const { chart, server, told } = made;
  assert.equal(told.answers.at(-1).state, 'empty');
  server.bars['1m'] = [bar(NEWEST)];
  await pushed(made, bar(NEWEST));
  assert.deepEqual(times(chart), [0]);
  assert.equal(told.answers.at(-1).state, 'ready');
});

test('while loading fails, what comes live does not ask more often', async () => {
  const made = await live({ '1m': [] });
  made.server.failing = { status: 503, error: 'busy' };
  for (let i = 0; i < 5; i++) await pushed(made, bar(NEWEST)); // oxlint-disable-line no-await-in-loop -- in order
  assert.equal(made.page.asked.length, 2);
  made.server.failing = undefined;
  made.server.bars['1m'] = [bar(NEWEST)];
  await made.page.clock.advance(3000);
  assert.deepEqual(times(made.chart), [0]);
});

test('a range without bars stays empty when live ones come', async () => {
  const made = opened();
  await made.data.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - FAR_PAST * DAY, to: NEWEST - FAR_PAST * DAY + 60 });
  await pushed(made, bar(NEWEST + 60));
  assert.deepEqual(made.chart.bars, []);
  assert.equal(made.page.asked.length, 1);
});

test('what failed is loaded again after three seconds, what was refused is not', async () => {
  const { page, server, chart, data, told } = opened();
  server.failing = { status: 503, error: 'busy' };
  await data.load(LIVE);
  assert.deepEqual(told.answers.at(-1), { state: 'failed', reason: 'busy', isRefused: false });
  server.failing = undefined;
  await page.clock.advance(2999);
  assert.equal(chart.bars.length, 0);
  await page.clock.advance(1);
  assert.equal(chart.bars.length, 100);
  server.failing = { status: 400, error: 'no' };
  await data.load(LIVE);
  await page.clock.advance(60_000);
  assert.equal(asked(page).filter(({ span }) => span).length, 3);
});

test('in a tab in the background what failed waits until somebody looks', async () => {
  const { page, server, chart, data } = opened();
  server.failing = { status: 503, error: 'busy' };
  await data.load(LIVE);
  server.failing = undefined;
  await page.hide(true);
  await page.clock.advance(60_000);
  assert.equal(page.asked.length, 1);
  await page.hide(false);
  assert.equal(chart.bars.length, 100);
});

test('history that cannot be read is asked for again, in place when some of it is there', async () => {
  const { page, server, chart, told } = await live();
  server.fault = 'away';
  server.age = 300;
  await page.push({ reset: 1 });
  assert.deepEqual(told.answers.at(-1), { state: 'ready', fault: 'away', age: 300 });
  server.fault = '';
  const { length } = page.asked;
  await page.clock.advance(11_000);
  assert.equal(page.asked.length, length + 1);
  assert.deepEqual([chart.bars.length, told.answers.at(-1).fault], [100, '']);
  await page.clock.advance(11_000);
  assert.equal(page.asked.length, length + 1);
});

// Live bars.

test('the newest minute is replaced as it grows, and followed by the next', async () => {
  const made = await live();
  await pushed(made, bar(NEWEST, { close: 101 }), bar(NEWEST, { close: 102 }), bar(NEWEST + 60, { close: 103 }));
  assert.deepEqual(times(made.chart).slice(-3), [-1, 0, 1]);
  assert.deepEqual(closes(made.chart, 3), [100, 102, 103]);
  assert.equal(made.data.newest, NEWEST + 60);
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
  assert.equal(made.data.newest, NEWEST + 60);
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
  made.data.load(LIVE);
  await pushed(made, bar(NEWEST, { close: 105 }), bar(NEWEST + 60));
  assert.deepEqual(closes(made.chart, 1), [100]);
  await release();
  assert.deepEqual(times(made.chart).slice(-2), [0, 1]);
  assert.deepEqual(closes(made.chart, 2), [105, 100]);
});

test('events of the interval that was shown before are dropped', async () => {
  const made = await live({ '1m': barsFrom(NEWEST - 99 * 60, 100), '1h': barsFrom(NEWEST - 59 * 60 - 7200, 3, 3600) });
  const release = made.held();
  const loading = made.data.load({ symbol: 'BTCUSDT', interval: '1h', span: DAY });
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
  await made.data.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - 4000 * 60, to: NEWEST - 3900 * 60 });
  made.server.newest = NEWEST + 60;
  await pushed(made, bar(NEWEST + 60));
  assert.ok(times(made.chart).at(-1) < -2000);
  assert.equal(made.data.newest, NEWEST + 60);
});

test('a bar that has changed is asked for, and replaced', async () => {
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

// All that is shown, again.

test('after a reset what is shown is read again, and what was missed comes with it', async () => {
  const made = await live();
  made.server.bars['1m'] = barsFrom(NEWEST - 99 * 60, 105, 60, () => ({ close: 99 }));
  made.server.newest = NEWEST + 300;
  await made.page.push({ reset: 1 });
  assert.deepEqual([made.chart.bars.length, made.data.newest, made.told.resets], [105, NEWEST + 300, 1]);
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
  await made.data.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - 600, to: NEWEST - 300 });
  await made.page.push({ reset: 1 });
  assert.deepEqual(times(made.chart), [-10, -9, -8, -7, -6]);
});

test('every five minutes it is read again, unless nobody looks', async () => {
  const made = await live();
  await made.page.clock.advance(299_000);
  assert.equal(made.page.asked.length, 1);
  await made.page.clock.advance(1000);
  assert.equal(made.page.asked.length, 2);
  await made.page.hide(true);
  await made.page.clock.advance(600_000);
  assert.equal(made.page.asked.length, 2);
});

// Further bars.

/* 5,000 minutes up to the newest, of which 100 are shown. */
const deep = () => live({ '1m': barsFrom(NEWEST - 4999 * 60, 5000) });

async function moveTo({ page, chart }, from, to) {
  chart.show(from, to);
  await page.clock.frame();
  await settle();
}

test('near the first bar older ones are asked for, and what is in sight stays', async () => {
  const made = await deep();
  await moveTo(made, 10, 60);
  assert.equal(made.chart.bars.length, 1100);
  assert.deepEqual(made.chart.range(), { from: 1010, to: 1060 });
  assert.deepEqual(times(made.chart).slice(0, 1), [-1099]);
  assert.equal(made.data.isAttached, true);
});

test('older bars reach over a stretch without any', async () => {
  const old = barsFrom(NEWEST - 30 * DAY, 10);
  const made = await live({ '1m': [...old, ...barsFrom(NEWEST - 99 * 60, 100)] });
  await moveTo(made, 10, 60);
  assert.deepEqual(made.chart.bars.slice(0, 10), old);
  assert.equal(made.chart.bars.length, 110);
});

test('at the very first bar no older ones are asked for any more', async () => {
  const made = await live();
  await moveTo(made, 10, 60);
  const { length } = made.page.asked;
  await moveTo(made, 5, 55);
  assert.equal(made.page.asked.length, length);
});

test('older bars that could not be read are asked for again a little later', async () => {
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
  assert.deepEqual([made.chart.bars.length, made.data.isAttached], [10_000, false]);
  await moveTo(made, 9900, 9950);
  assert.deepEqual([made.chart.bars.length, made.data.isAttached], [10_000, false]);
  await moveTo(made, 9900, 9950);
  assert.equal(made.data.isAttached, true);
  assert.equal(made.chart.bars.at(-1).time, NEWEST);
});

test('near the last bar of a range newer ones are asked for, until the newest is there', async () => {
  const made = opened({ '1m': barsFrom(NEWEST - 4999 * 60, 5000) });
  await made.data.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - 1600 * 60, to: NEWEST - 1400 * 60 });
  await moveTo(made, 150, 190);
  assert.equal(times(made.chart).at(-1), -401);
  assert.equal(made.data.isAttached, false);
  await moveTo(made, 1150, 1190);
  await moveTo(made, made.chart.bars.length - 40, made.chart.bars.length);
  assert.deepEqual([times(made.chart).at(-1), made.data.isAttached], [0, true]);
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
  await made.data.load({ symbol: 'BTCUSDT', interval: '1m', from: first, to: first + 3600 });
  await moveTo(made, 10, 50);
  assert.equal(made.chart.bars[60]?.time, next[0].time);
  assert.equal(made.data.isAttached, false);
  for (let i = 0; i < 4; i++) {
    const { length } = made.chart.bars;
    await moveTo(made, length - 40, length); // oxlint-disable-line no-await-in-loop -- one after the other
  }
  assert.equal(made.chart.bars.length, 60 + 2000 + 100);
  assert.equal(made.data.isAttached, true);
});

test('newer bars reach over a stretch without any where nothing is live, and end where history does', async () => {
  const first = MIDNIGHT - 30 * DAY;
  const [shown, next] = [barsFrom(first, 60), barsFrom(first + 2 * DAY + 13 * 3600, 100)];
  const made = opened({ '1m': [...shown, ...next], '1d': [bar(first), bar(first + 2 * DAY)] }, null);
  await made.data.load({ symbol: 'BTCUSDT', interval: '1m', from: first, to: first + 3600 });
  await moveTo(made, 10, 50);
  assert.equal(made.chart.bars[60]?.time, next[0].time);
  await moveTo(made, 110, 150);
  const { length } = made.page.asked;
  await moveTo(made, 115, 155);
  assert.deepEqual([made.chart.bars.length, made.page.asked.length], [160, length]);
});

/*  shown        window without candles
    |xx ......... ]                    | next day
    all of the day's candles lie before what is sought */
test('a day whose candles are all shown already leads on to the next one', async () => {
  const first = MIDNIGHT - 30 * DAY;
  const next = barsFrom(first + 3 * DAY, 100);
  const made = opened({ '1m': [...barsFrom(first, 60), ...next], '1d': [bar(first), bar(first + 3 * DAY)] });
  await made.data.load({ symbol: 'BTCUSDT', interval: '1m', from: first, to: first + 3600 });
  await moveTo(made, 10, 50);
  assert.equal(made.chart.bars[60]?.time, next[0].time);
});

test('newer bars that could not be read are asked for with the next move', async () => {
  const made = opened({ '1m': barsFrom(NEWEST - 4999 * 60, 5000) });
  await made.data.load({ symbol: 'BTCUSDT', interval: '1m', from: NEWEST - 3600 * 60, to: NEWEST - 3000 * 60 });
  made.server.failing = { status: 503, error: 'busy' };
  await moveTo(made, 400, 590);
  assert.equal(made.chart.bars.length, 600);
  made.server.failing = undefined;
  await moveTo(made, 401, 591);
  assert.equal(times(made.chart).at(-1), -2001);
});

// The stream.

test('the stream goes on where it was, and anew with another symbol', async () => {
  const made = await live();
  await made.page.push({ state: { lag: 5 } }, 'abc-7');
  await made.page.hide(true);
  assert.deepEqual([made.data.stream, made.page.streams[0].readyState], [null, 2]);
  await made.page.hide(false);
  made.data.clear();
  await made.data.load({ ...LIVE, symbol: 'ETHUSDT' });
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
  assert.deepEqual([made.told.trades, made.told.feeds], [[[trade]], [{ lag: 5 }]]);
});

test('a stream that is silent for ten seconds is opened anew', async () => {
  const made = await live();
  await made.page.clock.advance(7500);
  await made.page.push({ state: {} });
  await made.page.clock.advance(7500);
  assert.equal(made.page.streams.length, 1);
  await made.page.clock.advance(2500);
  assert.equal(made.page.streams.length, 2);
  assert.deepEqual(made.told.connections, [false]);
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
  made.data.clear();
  await made.page.clock.frame();
  assert.deepEqual([made.chart.bars, made.data.shown, made.data.stream], [[], null, null]);
});
