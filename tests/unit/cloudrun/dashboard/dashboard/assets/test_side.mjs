/* What stands around the chart: the texts of legend, last price, tape, health and calendar. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { CONFIG, MIDNIGHT, Server, bar, openPage } from '../../../../../support/page.mjs';

const LIVE = { symbol: 'BTCUSDT', interval: '1m', span: 6000 };
const DAY = { since: MIDNIGHT, open: 100, high: 110, low: 90.5, volume: 1234567, delta: -2000 };

/* A page with these bars; `coverage` is what the server answers about days. */
async function shown(bars, coverage = {}) {
  const server = new Server({ '1m': bars }, bars.at(-1)?.time ?? null);
  const answer = (path, query) => (path === '/api/candles' ? server.candles(query) : coverage);
  const page = openPage(['format', 'chart', 'data', 'side'], { answer });
  const { candles, candleChart } = page;
  candles.state = { symbol: 'BTCUSDT' };
  candleChart.build(page.document.createElement('div'));
  candles.data.start();
  candles.side.start(CONFIG.statuses);
  await candles.data.load(LIVE);
  await page.clock.frame();
  const text = (id) => page.document.getElementById(id).textContent;
  return { page, side: candles.side, chart: candleChart, text, texts: (id) => page.document.getElementById(id).texts };
}

/* Names and values of a list, by name. */
const pairs = (texts) => Object.fromEntries(texts.flatMap((text, i) => (i % 2 ? [] : [[text, texts[i + 1]]])));

test('the legend has every field of the newest candle, exact', async () => {
  const one = bar(MIDNIGHT, { open: 61000, high: 61000.5, low: 60999.5, close: 60999.75, volume: 0.3, bought: 0.1 });
  const { side, texts } = await shown([{ ...one, turnover: 18300, count: 1234, doubt: 3, source: 'archive' }]);
  side.legend();
  const [interval, time, ...rest] = texts('legend');
  assert.deepEqual([interval, time], ['1m', '2024-10-04 00:00 UTC']);
  assert.deepEqual(rest.slice(0, 8), ['O', '61,000.00', 'H', '61,000.50', 'L', '60,999.50', 'C', '60,999.75']);
  assert.deepEqual(rest.slice(8, 11), ['+0.00 %', 'partial', 'archive']);
  assert.deepEqual(pairs(rest.slice(11)), {
    Volume: '0.3',
    Bought: '0.1',
    Delta: '-0.1',
    Turnover: '18,300',
    VWAP: '61,000.00',
    Trades: '1,234',
  });
});

test('the legend is of the candle under the crosshair, with the time without candles before it', async () => {
  const { page, side, texts } = await shown([bar(MIDNIGHT), bar(MIDNIGHT + 180, { close: 99 }), bar(MIDNIGHT + 240)]);
  page.chart.crosshair({ point: {}, logical: 1 });
  side.legend();
  assert.equal(texts('legend')[1], '2024-10-04 00:03 UTC');
  assert.ok(texts('legend').includes('-1.00 %'));
  assert.ok(texts('legend').includes('no candles for 2 min before it'));
});

test('what is not known is a dash in the legend', async () => {
  const { side, texts } = await shown([bar(MIDNIGHT, { bought: null, count: null, volume: 0, turnover: 0 })]);
  side.legend();
  const { Bought, Delta, VWAP, Trades } = pairs(texts('legend').slice(13));
  assert.deepEqual([Bought, Delta, VWAP, Trades], ['–', '–', '–', '–']);
});

test('without candles there is no legend', async () => {
  const { side, text } = await shown([]);
  side.legend();
  assert.equal(text('legend'), '');
});

test('the tape is newest first, forty rows at most', async () => {
  const { page, side } = await shown([bar(MIDNIGHT, { low: 99.25 })]);
  side.tape([
    [MIDNIGHT * 1000, 100, 0.5, 1],
    [MIDNIGHT * 1000 + 1000, 99.5, 1234.25, 0],
  ]);
  const rows = () => page.elements.tape.children;
  assert.deepEqual(
    rows().map((row) => [row.className, row.texts].flat()),
    [
      ['row down', '00:00:01', '99.50', '1,234.25'],
      ['row up', '00:00:00', '100.00', '0.5'],
    ],
  );
  side.tape(Array.from({ length: 45 }, (_, i) => [MIDNIGHT * 1000 + 2000 + i, 100, i, 1]));
  assert.deepEqual([rows().length, rows()[0].texts[2], rows().at(-1).texts[2]], [40, '44', '5']);
});

test('after a reset the tape begins anew, with what comes next', async () => {
  const { page, side } = await shown([bar(MIDNIGHT)]);
  side.tape([[MIDNIGHT * 1000, 100, 1, 1]]);
  side.reset();
  assert.equal(page.elements.tape.children.length, 1);
  side.tape([[MIDNIGHT * 1000 + 1000, 100, 2, 1]]);
  side.tape([[MIDNIGHT * 1000 + 2000, 100, 3, 1]]);
  assert.deepEqual(
    page.elements.tape.children.map((row) => row.texts[2]),
    ['3', '2'],
  );
});

test('the last price is that of the latest trade, else of the newest candle', async () => {
  const { page, side, text } = await shown([bar(MIDNIGHT, { close: 100.5 })]);
  side.last();
  assert.deepEqual([text('last'), page.document.title], ['100.5', '100.5 BTCUSDT']);
  side.tape([
    [MIDNIGHT * 1000 + 5, 101, 1, 0],
    [MIDNIGHT * 1000 + 4, 102, 1, 1],
  ]);
  assert.deepEqual([text('last'), page.elements.last.className], ['101.0', 'down']);
});

test('the day is compared with its beginning', async () => {
  const newest = bar(MIDNIGHT + 86400, { close: 105 });
  const { side, text, page } = await shown([newest]);
  side.feed({ day: DAY });
  assert.deepEqual([text('change'), page.elements.change.className], ['+5.00 %', 'up']);
  assert.equal(text('day'), '24 h  H 110  L 90.5  V 1.23M  Δ -2,000');
  side.feed({ day: { ...DAY, since: MIDNIGHT + 3600, delta: null } });
  assert.equal(text('day'), 'since 01:00  H 110  L 90.5  V 1.23M  Δ –');
});

test('of another symbol neither price nor tape stays', async () => {
  const { page, side, text } = await shown([bar(MIDNIGHT)]);
  side.tape([[MIDNIGHT * 1000, 100, 1, 1]]);
  side.clear();
  assert.deepEqual([text('last'), text('tape'), text('day'), page.document.title], ['', '', '', 'BTCUSDT']);
});

test('the feed says what is wrong first, the worst before the others', async () => {
  const { page, side, text } = await shown([bar(MIDNIGHT)]);
  const said = [];
  const tell = () => said.push([text('feed'), page.elements.feed.className, text('lag')]);
  tell();
  side.connection(true);
  tell();
  const well = { proven: MIDNIGHT * 1000, lag: 1250, reconnects: 1 };
  for (const state of [well, { ...well, gaps: 2, gaps_since: MIDNIGHT }, { ...well, silent: 7 }, { silent: 7, postgres: 90 }]) {
    side.feed(state);
    tell();
  }
  side.connection(false);
  tell();
  assert.deepEqual(said, [
    ['connecting', 'feed wait', ''],
    ['live', 'feed ok', ''],
    ['live', 'feed ok', '· 1,250 ms'],
    ['live', 'feed warn', '· 1,250 ms'],
    ['feed silent for 7 s', 'feed bad', ''],
    ['live data 2 min old', 'feed bad', ''],
    ['reconnecting', 'feed wait', ''],
  ]);
});

test('the feed’s health in full', async () => {
  const { side, texts } = await shown([bar(MIDNIGHT)]);
  side.connection(true);
  assert.deepEqual(pairs(texts('health')), {
    Connection: 'open',
    'Live candles': 'from Postgres',
    Tape: 'from the topic',
  });
  side.tape([[MIDNIGHT * 1000 + 61_000, 100, 1, 1]]);
  side.feed({ proven: MIDNIGHT * 1000 + 62_000, lag: 12, reconnects: 3, gaps: 2, gaps_since: MIDNIGHT, tape: 'away' });
  assert.deepEqual(pairs(texts('health')), {
    Connection: 'open',
    'Live candles': 'from Postgres',
    Tape: 'away',
    'Proven until': '00:01:02 UTC',
    Lag: '12 ms',
    'Last trade': '00:01:01 UTC',
    'Open gaps': '2 since 2024-10-04 00:00',
    Reconnects: '3',
  });
});

const DAYS = {
  '2023-12-31': { state: 'loaded', reason: '', quarantined: 0 },
  '2024-01-01': { state: 'loaded', reason: '', quarantined: 3 },
  '2024-01-02': { state: 'failed', reason: 'no rows', quarantined: 0 },
  '2024-03-01': { state: 'no_trades', reason: '', quarantined: 0 },
};

async function calendar(answer) {
  const made = await shown([bar(MIDNIGHT)], answer);
  const opened = [];
  await made.side.coverage(['BTCUSDT'], (...day) => opened.push(day));
  const [box] = made.page.elements.calendar.children;
  box.fire('toggle');
  box.fire('toggle'); // folded and unfolded again
  const years = box.children.filter(({ className }) => className === 'year');
  return { box, years, opened, days: years.map((year) => year.children.filter(({ name }) => name === 'button')) };
}

test('the calendar counts days by what became of them, and has the newest year first', async () => {
  const { box, days } = await calendar({ symbol: 'BTCUSDT', days: DAYS, age_s: 5, fault: '' });
  assert.equal(box.children[0].textContent, 'BTCUSDT2 loaded · 1 no trades · 1 failed');
  assert.deepEqual(
    box.children.filter(({ name }) => name === 'h4').map(({ textContent }) => textContent),
    ['2024', '2023'],
  );
  assert.deepEqual(
    days.map((year) => year.map(({ title }) => title)),
    [
      ['2024-01-01: loaded, 3 rows quarantined', '2024-01-02: failed, no rows', '2024-03-01: no_trades'],
      ['2023-12-31: loaded'],
    ],
  );
});

/* 2024 begins on a Monday, 2023 on a Sunday; the first row has the months. */
test('a day stands in the column of its week and the row of its weekday', async () => {
  const { days, years } = await calendar({ symbol: 'BTCUSDT', days: DAYS, age_s: 5, fault: '' });
  const places = days.flat().map(({ style: { gridColumn, gridRow } }) => [gridColumn, gridRow]);
  assert.deepEqual(places, [
    [1, 2],
    [1, 3],
    [9, 6],
    [53, 8],
  ]);
  const months = years[0].children.filter(({ className }) => className === 'month');
  assert.deepEqual(
    months.map(({ style }) => style.gridColumn),
    [1, 5, 9, 14, 18, 22, 27, 31, 35, 40, 44, 48],
  );
});

test('a day that is clicked is opened, and the arrows go from day to day', async () => {
  const { days, opened, years } = await calendar({ symbol: 'BTCUSDT', days: DAYS, age_s: 5, fault: '' });
  const [first, second, third] = days[0];
  second.fire('click');
  assert.deepEqual(opened, [['BTCUSDT', Date.UTC(2024, 0, 2) / 1000]]);
  assert.deepEqual([first.tabIndex, second.tabIndex, third.tabIndex], [-1, -1, 0]);
  let focused = 0;
  second.focus = () => focused++;
  years[0].fire('keydown', { target: first, key: 'ArrowDown' });
  years[0].fire('keydown', { target: first, key: 'ArrowUp' });
  years[0].fire('keydown', { target: first, key: 'x' });
  assert.equal(focused, 1);
});

test('a calendar that is not known says so', async () => {
  const { box } = await calendar({ symbol: 'BTCUSDT', days: {}, age_s: null, fault: 'away' });
  assert.deepEqual(
    box.children.map(({ textContent }) => textContent),
    ['BTCUSDTno day is loaded', 'not known now: away'],
  );
});
