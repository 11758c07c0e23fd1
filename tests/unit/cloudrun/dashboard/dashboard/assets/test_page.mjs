/* The page as a whole: its state, which it reads from the URL and writes to it, and the bars that it requests. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { start } from '../../../../../../cloudrun/dashboard/dashboard/assets/page.js';
import { CONFIG, INTERVALS, MIDNIGHT, Server, barsFrom, openPage, settle } from '../../../../../support/page.mjs';

const DAY = 86400;
const NEWEST = MIDNIGHT + DAY - 60;

/* A page at this address, whose server has two days of each interval up to the newest minute. */
async function opened(search = '', days = 2) {
  const bars = Object.entries(INTERVALS).map(([name, step]) => [
    name,
    barsFrom(MIDNIGHT + DAY - days * DAY, (days * DAY) / step, step),
  ]);
  const server = new Server(Object.fromEntries(bars), NEWEST);
  const answers = { '/api/symbols': () => ({ symbols: ['BTCUSDT', 'ETHUSDT'], live: ['BTCUSDT'] }), '/api/coverage': () => ({}) };
  const answer = (path, query) => (answers[path] ?? (() => server.candles(query)))();
  const page = openPage({ answer, search });
  for (const name of ['auto', ...Object.keys(INTERVALS)]) page.button('interval', name);
  for (const name of Object.keys(CONFIG.ranges)) page.button('range', name);
  for (const name of Object.keys(CONFIG.studies)) page.button('study', name);
  start(CONFIG);
  await settle();
  await page.clock.frame();
  const { chart, state } = page.window.candles;
  return {
    page,
    chart,
    server,
    state,
    requested: () => page.requests.filter(([path]) => path === '/api/candles').map(([, query]) => query),
    pressed: () =>
      page.buttons.filter(({ attributes }) => attributes['aria-pressed'] === 'true').map(({ dataset }) => dataset),
    notice: () => page.document.getElementById('notice').textContent,
    word: () => page.document.getElementById('state').textContent,
  };
}

/* A click on the button, or on the element with this id. */
async function click({ page }, kind, name) {
  const button = name ? page.buttons.find(({ dataset }) => dataset[kind] === name) : { id: kind, dataset: {} };
  const target = { closest: (selector) => (selector === 'button' ? button : null) };
  for (const call of page.document.listeners.click) call({ target });
  await settle();
}

async function press({ page }, key, given = {}) {
  for (const call of page.document.listeners.keydown) call({ key, preventDefault() {}, ...given });
  await settle();
  await page.clock.frame();
}

/* The user drags the chart to this range, and rests. */
async function drag({ page, chart }, from, to) {
  page.document.getElementById('chart').fire('pointerdown');
  chart.show(from, to);
  await page.clock.frame();
  await page.clock.advance(300);
}

const plain = ({ studies, ...state }) => ({ ...state, studies: [...studies] });
const DEFAULTS = { symbol: 'BTCUSDT', interval: 'auto', range: '1D', from: 0, to: 0, studies: ['vwap'], scale: 'linear', second: null };

test('without a query the page has its defaults, and writes them into the URL', async () => {
  const { page, state } = await opened();
  assert.deepEqual(plain(state), DEFAULTS);
  assert.deepEqual(page.visited, ['?symbol=BTCUSDT&interval=auto&range=1D&studies=vwap']);
});

test('the URL is the state', async () => {
  const from = NEWEST - 3600;
  const { state, requested } = await opened(`?symbol=ETHUSDT&interval=5m&from=${from}&to=${NEWEST}&studies=ma20,delta`);
  assert.deepEqual(plain(state), {
    ...DEFAULTS,
    symbol: 'ETHUSDT',
    interval: '5m',
    from,
    to: NEWEST,
    studies: ['ma20', 'delta'],
  });
  assert.deepEqual(requested()[0], { symbol: 'ETHUSDT', interval: '5m', start: String(from), end: String(NEWEST) });
});

const WRONG = [
  '?symbol=btcusdt',
  '?symbol=B',
  '?symbol=%3Cscript%3E',
  '?interval=2m',
  '?interval=toString',
  '?range=2D',
  '?range=constructor',
  `?from=${NEWEST}&to=${NEWEST}`,
  `?from=${NEWEST}&to=${NEWEST - 60}`,
  '?from=0&to=60',
  '?from=-60&to=60',
  '?from=a&to=b',
  '?from=60',
  '?from=60&to=4102444801',
  '?from=60&to=Infinity',
];

for (const search of WRONG) {
  test(`a wrong value in the URL is ignored: ${search}`, async () => {
    const { state } = await opened(search);
    assert.deepEqual(plain(state), DEFAULTS);
  });
}

test('unknown studies are ignored, and none may be chosen', async () => {
  assert.deepEqual([...(await opened('?studies=ma20,nope,__proto__')).state.studies], ['ma20']);
  assert.deepEqual([...(await opened('?studies=')).state.studies], []);
});

test('the buttons show the state', async () => {
  const made = await opened('?interval=1h&studies=ma20,ma50');
  assert.deepEqual(made.pressed(), [{ interval: '1h' }, { range: '1D' }, { study: 'ma20' }, { study: 'ma50' }]);
  const past = await opened(`?from=${NEWEST - 3600}&to=${NEWEST}`);
  assert.deepEqual(past.pressed(), [{ interval: 'auto' }, { study: 'vwap' }]);
});

test('a range that does not fit the interval is not shown as pressed', async () => {
  const made = await opened('?interval=1m&range=1Y');
  assert.deepEqual(made.pressed(), [{ interval: '1m' }, { study: 'vwap' }]);
});

test('a range button shows that many days in the interval that fits', async () => {
  const made = await opened('?interval=1m');
  await click(made, 'range', '5D');
  assert.deepEqual(made.requested().at(-1), { symbol: 'BTCUSDT', interval: 'auto', span: String(5 * DAY), slide: '1' });
  assert.equal(made.page.location.search, '?symbol=BTCUSDT&interval=auto&range=5D&studies=vwap');
});

test('another interval at the newest bar stays there', async () => {
  const made = await opened();
  await click(made, 'interval', '15m');
  assert.deepEqual(made.requested().at(-1), { symbol: 'BTCUSDT', interval: '15m', span: String(DAY), slide: '1' });
});

test('another interval elsewhere shows the same stretch of time', async () => {
  const made = await opened();
  await drag(made, 100, 400);
  await click(made, 'interval', '5m');
  const [from, to] = [made.state.from, made.state.to];
  assert.deepEqual(made.requested().at(-1), { symbol: 'BTCUSDT', interval: '5m', start: String(from), end: String(to) });
  assert.equal(to - from, 301 * 60);
});

test('more in sight than the range that was chosen does not widen it', async () => {
  const made = await opened();
  await drag(made, 100, 400);
  const [from, to] = [made.state.from, made.state.to];
  await click(made, 'interval', '15m');
  await made.page.clock.frame();
  await settle(); // older bars have come
  const { bars } = made.chart;
  const last = bars.findLastIndex(({ time }) => time < to);
  made.chart.show(last - 24, last + 0.5); // the user has moved nothing
  await made.page.clock.frame();
  assert.ok(bars[last - 24].time < from);
  await click(made, 'interval', '1m');
  assert.deepEqual(made.requested().at(-1), { symbol: 'BTCUSDT', interval: '1m', start: String(from), end: String(to) });
});

test('another interval shows the newer bars that the view has followed', async () => {
  const made = await opened();
  await drag(made, 100, 400);
  const { to } = made.state;
  await click(made, 'interval', '5m');
  await made.page.clock.frame();
  const newer = made.chart.bars.findIndex(({ time }) => time >= to) + 9;
  made.chart.show(newer - 50, newer + 0.5);
  await made.page.clock.frame();
  await click(made, 'interval', '1m');
  assert.equal(made.requested().at(-1).end, String(made.state.to));
  assert.ok(made.state.to > to);
});

test('a study that is clicked comes and goes', async () => {
  const made = await opened();
  const { length } = made.requested();
  await click(made, 'study', 'delta');
  assert.equal(made.page.location.search, '?symbol=BTCUSDT&interval=auto&range=1D&studies=vwap,delta');
  await click(made, 'study', 'vwap');
  assert.deepEqual([...made.state.studies], ['delta']);
  assert.equal(made.requested().length, length);
});

test('where the chart comes to rest the URL has what is in sight', async () => {
  const made = await opened('?interval=1m');
  const before = made.chart.bars.length;
  await drag(made, 599.6, 700.4);
  const shift = made.chart.bars.length - before; // older bars that came
  const [first, last] = [made.chart.bars[600 + shift].time, made.chart.bars[700 + shift].time];
  assert.deepEqual([made.state.from, made.state.to], [first, last + 60]);
  assert.equal(made.page.location.search, `?symbol=BTCUSDT&interval=1m&from=${first}&to=${last + 60}&studies=vwap`);
});

test('time goes on beyond the bars', async () => {
  const made = await opened('?interval=1m', 1);
  const { length } = made.chart.bars;
  await drag(made, length - 100, length + 20);
  assert.equal(made.state.to, NEWEST + 60 + 21 * 60);
  await drag(made, -30, 100);
  assert.equal(made.state.from, MIDNIGHT - 30 * 60);
});

test('a chart that moved by itself changes no URL', async () => {
  const made = await opened();
  const { search } = made.page.location;
  made.chart.show(100, 200);
  await made.page.clock.frame();
  await made.page.clock.advance(1000);
  assert.equal(made.page.location.search, search);
});

test('few bars in sight become more of a shorter interval, a chosen interval stays', async () => {
  const wide = await opened('?range=5D', 8);
  assert.equal(wide.requested()[0].interval, 'auto');
  const step = wide.chart.bars[1].time - wide.chart.bars[0].time;
  assert.equal(step, 300);
  await drag(wide, 1000, 1050);
  const span = wide.state.to - wide.state.from;
  assert.deepEqual([span, wide.requested().at(-1).end - wide.requested().at(-1).start], [51 * 300, 51 * 300]);
  assert.equal(wide.chart.bars[1].time - wide.chart.bars[0].time, 60);

  const chosen = await opened('?interval=5m&range=5D', 8);
  await drag(chosen, 1000, 1050);
  assert.equal(chosen.chart.bars[1].time - chosen.chart.bars[0].time, 300);
});

test('more bars in sight than an answer holds become fewer of a longer interval', async () => {
  const made = await opened('', 4);
  await drag(made, 10, 60); // older ones come
  await drag(made, 0, 2300);
  assert.equal(made.chart.bars[1].time - made.chart.bars[0].time, 300);
});

test('the way to the newest forgets the range', async () => {
  const made = await opened(`?interval=1m&from=${NEWEST - 7200}&to=${NEWEST - 3600}`);
  await click(made, 'newest');
  assert.deepEqual([made.state.from, made.state.to], [0, 0]);
  assert.equal(made.chart.bars.at(-1).time, NEWEST);
});

test('back and forward show what was before', async () => {
  const made = await opened();
  await click(made, 'interval', '1h');
  made.page.location.search = '?symbol=ETHUSDT&interval=5m&range=5D&studies=ma20';
  for (const call of made.page.window.listeners.popstate) call({});
  await settle();
  assert.deepEqual(plain(made.state), { ...DEFAULTS, symbol: 'ETHUSDT', interval: '5m', range: '5D', studies: ['ma20'] });
  assert.deepEqual(made.requested().at(-1), { symbol: 'ETHUSDT', interval: '5m', span: String(5 * DAY), slide: '1' });
});

test('keys pan and zoom, and the URL follows', async () => {
  const made = await opened('?interval=1m', 1);
  made.chart.show(200, 300);
  await press(made, 'ArrowRight');
  assert.deepEqual(made.chart.range(), { from: 210, to: 310 });
  await press(made, 'ArrowLeft', { shiftKey: true });
  assert.deepEqual(made.chart.range(), { from: 130, to: 230 });
  await press(made, '-');
  assert.deepEqual(made.chart.range(), { from: 117.5, to: 242.5 });
  await press(made, 'x');
  await press(made, 'ArrowRight', { ctrlKey: true });
  assert.deepEqual(made.chart.range(), { from: 117.5, to: 242.5 });
  await made.page.clock.advance(300);
  assert.equal(made.state.from, MIDNIGHT + 118 * 60);
});

test('an export has what is in sight, in the interval that is shown', async () => {
  const made = await opened('?range=5D&interval=5m', 8);
  const links = [];
  made.page.document.body.append = (link) => links.push(link);
  made.page.button('export', 'csv');
  made.chart.show(99.5, 200.5);
  const [first, last] = [made.chart.bars[100].time, made.chart.bars[200].time];
  await click(made, 'export', 'csv');
  const query = Object.fromEntries(new URLSearchParams(links[0].href.split('?')[1]));
  assert.deepEqual(query, {
    symbol: 'BTCUSDT',
    interval: '5m',
    start: String(first),
    end: String(last + 300),
    format: 'csv',
  });
  assert.equal(links.length, 1);
});

test('a fault of history is shown, with the age of what is there', async () => {
  const made = await opened();
  Object.assign(made.server, { fault: 'quota', age: 600 });
  await made.page.push({ reset: 1 });
  assert.equal(made.notice(), 'History: as of 10 min ago; the page retries. (quota)');
  made.server.age = null;
  await made.page.push({ reset: 1 });
  assert.equal(made.notice(), 'History: not available; the page retries. (quota)');
  made.server.fault = '';
  await made.page.push({ reset: 1 });
  assert.equal(made.notice(), '');
});

test('an empty chart names what is missing', async () => {
  assert.equal((await opened('', 0)).word(), 'No candles of BTCUSDT yet');
  assert.equal((await opened('?from=60&to=3600', 0)).word(), 'No candles in this range');
  assert.equal((await opened()).word(), '');
});

test('trades and the state of the feed that come are shown at once, and go with their symbol', async () => {
  const made = await opened();
  const { page } = made;
  const text = (id) => page.document.getElementById(id).textContent;
  for (const call of page.streams[0].listeners.open) call({});
  await page.push({ trades: [[NEWEST * 1000, 104, 2, 1]] });
  const day = { since: NEWEST - DAY, open: 100, high: 110, low: 90, volume: 7, delta: 1 };
  await page.push({ state: { proven: NEWEST * 1000, lag: 12, reconnects: 0, day } });
  assert.deepEqual(['last', 'change', 'feed', 'lag'].map(text), ['104', '+4.00 %', 'live', '· 12 ms']);
  assert.ok(text('health').includes('Last trade23:59:00 UTC'));
  assert.ok(text('legend').startsWith('1m'));
  page.location.search = '?symbol=ETHUSDT';
  for (const call of page.window.listeners.popstate) call({});
  assert.deepEqual(['last', 'change', 'trades'].map(text), ['', '', '']);
});

test('a scale is chosen and given up, and stands in the URL', async () => {
  const made = await opened('?scale=log');
  made.page.button('scale', 'percent');
  assert.equal(made.state.scale, 'log');
  await click(made, 'scale', 'percent');
  assert.equal(made.page.location.search, '?symbol=BTCUSDT&interval=auto&range=1D&studies=vwap&scale=percent');
  assert.equal(made.page.chart.series[0].settings.mode, 2);
  await click(made, 'scale', 'percent');
  assert.equal(made.page.location.search, '?symbol=BTCUSDT&interval=auto&range=1D&studies=vwap');
});

test('a second chart stands in the URL, and has the interval and the time of the first', async () => {
  const made = await opened('?interval=5m&second=ETHUSDT.same');
  assert.deepEqual(made.state.second, { symbol: 'ETHUSDT', interval: 'same' });
  const [, second] = made.requested();
  assert.deepEqual([second.symbol, second.interval], ['ETHUSDT', '5m']);
  await click(made, 'unsplit');
  assert.equal(made.page.location.search, '?symbol=BTCUSDT&interval=5m&range=1D&studies=vwap');
  const { length } = made.requested();
  await click(made, 'split');
  assert.match(made.page.location.search, /&second=ETHUSDT\.same$/);
  assert.equal(made.requested().length, length + 1);
});

for (const search of ['?second=ETHUSDT', '?second=ETHUSDT.2m', '?second=eth.same', '?scale=toString']) {
  test(`a wrong second chart or scale in the URL is ignored: ${search}`, async () => {
    assert.deepEqual(plain((await opened(search)).state), DEFAULTS);
  });
}

test('a range of which only the newest bars fit has a hint, by which all of it is shown', async () => {
  const made = await opened('?interval=1m', 4);
  const hint = () => made.page.document.getElementById('hint');
  assert.equal(hint().hidden, true);
  made.server.cut = true;
  await click(made, 'interval', '1m');
  assert.equal(hint().textContent, 'Only the newest bars of 1D fit in 1m. Show all in longer bars');
  made.server.cut = false;
  await click(made, 'hint');
  assert.deepEqual([made.state.interval, hint().hidden], ['auto', true]);
});
