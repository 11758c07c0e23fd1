/* The chart: the points of its series after bars were set, extended, put and amended, and the range in sight. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { createCandleChart } from '../../../../../../cloudrun/dashboard/dashboard/assets/chart.js';
import { CONFIG, MIDNIGHT, bar, barsFrom, openPage } from '../../../../../support/page.mjs';

const DAY = 86400;

/* A chart with these bars of `step` seconds and these studies. */
function built(bars = [], { studies = [], step = 60 } = {}) {
  const page = openPage();
  const chart = createCandleChart(page.document.createElement('div'), CONFIG.statuses);
  chart.study(new Set(studies));
  chart.set(bars, step);
  const [price, volume, vwap, ma20, ma50] = page.chart.series;
  return { page, chart, price, volume, vwap, ma20, ma50, delta: () => page.chart.series[5] };
}

const closes = (bars) => bars.map(({ close }) => close);
const values = (series) => series.data().map(({ value }) => value);

/* The mean close of the last `length` bars of each, by the definition. */
function meansOf(bars, length) {
  return bars.map((_, i) => {
    const last = closes(bars.slice(i - length + 1, i + 1));
    return i < length - 1 ? undefined : last.reduce((sum, close) => sum + close, 0) / length;
  });
}

test('series hold the bars, and the volume in the colour of the candle', () => {
  const rising = bar(MIDNIGHT, { close: 101, volume: 7 });
  const falling = bar(MIDNIGHT + 60, { close: 99 });
  const { price, volume } = built([rising, falling]);
  assert.deepEqual(price.data(), [rising, falling]);
  assert.deepEqual(volume.data(), [
    { time: MIDNIGHT, value: 7, color: 'up-soft' },
    { time: MIDNIGHT + 60, value: 4, color: 'down-soft' },
  ]);
});

test('the newest bar is replaced by its newer form, and followed by the next one', () => {
  const { chart, price } = built(barsFrom(MIDNIGHT, 2));
  chart.put(bar(MIDNIGHT + 60, { close: 100.5 }));
  chart.put(bar(MIDNIGHT + 120, { close: 102 }));
  assert.deepEqual(closes(chart.bars), [100, 100.5, 102]);
  assert.deepEqual(closes(price.data()), [100, 100.5, 102]);
});

test('a chart without bars takes its first one', () => {
  const { chart, price } = built([], { studies: ['vwap', 'ma20', 'delta'] });
  chart.put(bar(MIDNIGHT));
  assert.deepEqual([chart.bars.length, price.data().length, chart.pointed], [1, 1, 0]);
});

test('a late minute stands where it belongs, once', () => {
  const { chart, price } = built(barsFrom(MIDNIGHT, 4).filter((_, i) => i !== 1));
  chart.show(0, 3);
  chart.amend(bar(MIDNIGHT + 60, { close: 99.5 }));
  chart.amend(bar(MIDNIGHT + 60, { close: 99.75 }));
  assert.deepEqual(closes(chart.bars), [100, 99.75, 100, 100]);
  assert.deepEqual(price.data(), chart.bars);
});

test('a late minute that is there already is replaced, and only that', () => {
  const { chart, price, volume } = built(barsFrom(MIDNIGHT, 3));
  chart.amend(bar(MIDNIGHT, { close: 99, volume: 5 }));
  assert.deepEqual(closes(price.data()), [99, 100, 100]);
  assert.deepEqual(values(volume), [5, 4, 4]);
});

test('a minute from before the first or after the newest is no amendment', () => {
  const { chart } = built(barsFrom(MIDNIGHT + 60, 2));
  const before = [...chart.bars];
  chart.amend(bar(MIDNIGHT));
  chart.amend(bar(MIDNIGHT + 180));
  assert.deepEqual(chart.bars, before);
  built().chart.amend(bar(MIDNIGHT));
});

test('a late minute before what is in sight leaves it in sight', async () => {
  const bars = barsFrom(MIDNIGHT, 50).filter((_, i) => i !== 2);
  const { page, chart } = built(bars);
  chart.show(20, 30);
  await page.clock.frame();
  const [from, to] = [chart.bars[20].time, chart.bars[30].time];
  chart.amend(bar(MIDNIGHT + 120));
  const range = chart.range();
  assert.deepEqual([chart.bars[range.from].time, chart.bars[range.to].time], [from, to]);
});

test('a late minute within what is in sight does not move its beginning', async () => {
  const { page, chart } = built(barsFrom(MIDNIGHT, 50).filter((_, i) => i !== 25));
  chart.show(20, 30);
  await page.clock.frame();
  chart.amend(bar(MIDNIGHT + 25 * 60));
  assert.deepEqual(chart.range(), { from: 20, to: 30 });
});

test('a late minute is taken in while the chart has no width yet', () => {
  const { chart } = built(barsFrom(MIDNIGHT, 3).filter((_, i) => i !== 1));
  assert.equal(chart.range(), null);
  chart.amend(bar(MIDNIGHT + 60));
  assert.equal(chart.bars.length, 3);
});

test('the newest is not looked for while the chart has no width yet', () => {
  const { chart } = built(barsFrom(MIDNIGHT, 3));
  chart.toNewest();
  assert.equal(chart.range(), null);
});

test('moving averages are means of the last closes, from the first full number of them on', () => {
  const bars = barsFrom(MIDNIGHT, 60, 60, (i) => ({ close: (i * i) % 17 }));
  const { ma20, ma50 } = built(bars, { studies: ['ma20', 'ma50'] });
  assert.deepEqual(values(ma20), meansOf(bars, 20));
  assert.deepEqual(values(ma50), meansOf(bars, 50));
});

test('moving averages go on with each bar as if all were there at once', () => {
  const bars = barsFrom(MIDNIGHT, 25, 60, (i) => ({ close: (i * i) % 17 }));
  const { chart, ma20 } = built(bars.slice(0, 18), { studies: ['ma20'] });
  for (const one of bars.slice(18)) {
    chart.put({ ...one, close: 1000 });
    chart.put(one);
  }
  chart.amend({ ...bars[10], close: 8 });
  assert.deepEqual(values(ma20), meansOf(chart.bars, 20));
  assert.equal(chart.bars[10].close, 8);
});

test('without the study there is no line', () => {
  const { chart, ma20, vwap } = built(barsFrom(MIDNIGHT, 30), { studies: ['ma20', 'vwap'] });
  assert.deepEqual([ma20.data().length, vwap.data().length], [30, 30]);
  chart.study(new Set());
  assert.deepEqual([ma20.data(), vwap.data()], [[], []]);
});

/*            day 0         | day 1
   volume     1    3        | 2    2
   turnover   100  330      | 240  160 */
const TWO_DAYS = [
  bar(MIDNIGHT - 120, { volume: 1, turnover: 100 }),
  bar(MIDNIGHT - 60, { volume: 3, turnover: 330 }),
  bar(MIDNIGHT, { volume: 2, turnover: 240 }),
  bar(MIDNIGHT + 60, { volume: 2, turnover: 160 }),
];

test('the VWAP begins anew with each day, and a day whose beginning is not loaded has none', () => {
  const { vwap } = built(TWO_DAYS, { studies: ['vwap'] });
  assert.deepEqual(vwap.data(), [
    { time: MIDNIGHT - 120 },
    { time: MIDNIGHT - 60, color: 'transparent' },
    { time: MIDNIGHT, value: 120 },
    { time: MIDNIGHT + 60, value: 100 },
  ]);
});

test('the VWAP of a day from its first minute on, and no line from it to the next day', () => {
  const first = bar(MIDNIGHT - DAY, { volume: 1, turnover: 90 });
  const { vwap } = built([first, ...TWO_DAYS], { studies: ['vwap'] });
  assert.deepEqual(vwap.data().slice(0, 4), [
    { time: MIDNIGHT - DAY, value: 90 },
    { time: MIDNIGHT - 120, value: 95 },
    { time: MIDNIGHT - 60, value: 104, color: 'transparent' },
    { time: MIDNIGHT, value: 120 },
  ]);
});

test('the VWAP goes on with each bar, over midnight too, as if all were there at once', () => {
  const first = bar(MIDNIGHT - DAY, { volume: 1, turnover: 90 });
  const { vwap: whole } = built([first, ...TWO_DAYS], { studies: ['vwap'] });
  const { chart, vwap } = built([first], { studies: ['vwap'] });
  for (const one of TWO_DAYS) {
    chart.put({ ...one, turnover: 1 });
    chart.put(one);
  }
  assert.deepEqual(vwap.data(), whole.data());
});

test('without trades there is no VWAP, and none of whole days', () => {
  const { vwap } = built([bar(MIDNIGHT, { volume: 0, turnover: 0 })], { studies: ['vwap'] });
  assert.deepEqual(vwap.data(), [{ time: MIDNIGHT }]);
  assert.deepEqual(built(barsFrom(MIDNIGHT, 2, DAY), { studies: ['vwap'], step: DAY }).vwap.data(), []);
});

test('the taker delta is what takers bought less what they sold, where that is known', () => {
  const bars = [
    bar(MIDNIGHT, { volume: 4, bought: 3 }),
    bar(MIDNIGHT + 60, { volume: 4, bought: 1 }),
    bar(MIDNIGHT + 120, { bought: null }),
  ];
  const { chart, delta } = built(bars, { studies: ['delta'] });
  assert.deepEqual(delta().data(), [
    { time: MIDNIGHT, value: 2, color: 'up-soft' },
    { time: MIDNIGHT + 60, value: -2, color: 'down-soft' },
    { time: MIDNIGHT + 120 },
  ]);
  chart.put(bar(MIDNIGHT + 120, { volume: 10, bought: 5 }));
  assert.deepEqual(delta().data().at(-1), { time: MIDNIGHT + 120, value: 0, color: 'up-soft' });
  chart.study(new Set());
  assert.equal(delta(), undefined);
});

const marked = ({ page }) => page.chart.markers.map(({ time, shape }) => [(time - MIDNIGHT) / 60, shape]);

test('partial and repaired bars are marked, others are not', () => {
  const made = built(barsFrom(MIDNIGHT, 4, 60, (i) => ({ doubt: i })));
  const expected = [
    [1, 'square'],
    [3, 'circle'],
  ];
  assert.deepEqual(marked(made), expected);
});

test('a mark comes and goes with the newest bar, and stays on those before it', () => {
  const made = built(barsFrom(MIDNIGHT, 1));
  const { chart } = made;
  chart.put(bar(MIDNIGHT + 60, { doubt: 3 }));
  assert.deepEqual(marked(made), [[1, 'circle']]);
  chart.put(bar(MIDNIGHT + 60, { doubt: 1 }));
  assert.deepEqual(marked(made), [[1, 'square']]);
  chart.put(bar(MIDNIGHT + 60, { doubt: 0 }));
  assert.deepEqual(marked(made), []);
  chart.put(bar(MIDNIGHT + 120, { doubt: 3 }));
  chart.put(bar(MIDNIGHT + 180));
  assert.deepEqual(marked(made), [[2, 'circle']]);
  chart.amend(bar(MIDNIGHT + 120));
  assert.deepEqual(marked(made), []);
});

test('prices have the decimals of the finest of them, never fewer than before', () => {
  const { chart, price } = built([bar(MIDNIGHT, { low: 99.25 }), bar(MIDNIGHT + 60)]);
  assert.equal(chart.digits, 2);
  chart.put(bar(MIDNIGHT + 120, { close: 100.0625 }));
  assert.equal(chart.digits, 4);
  assert.deepEqual(price.settings.priceFormat, { type: 'price', precision: 4, minMove: 0.0001 });
  chart.put(bar(MIDNIGHT + 180, { close: 100.5 }));
  chart.extend(barsFrom(MIDNIGHT, 5), 0);
  assert.equal(chart.digits, 4);
});

test('another symbol has decimals of its own', () => {
  const { chart, price } = built([bar(MIDNIGHT, { open: 0.0000123, high: 0.0000125, low: 0.0000123, close: 0.0000124 })]);
  assert.equal(chart.digits, 7);
  assert.equal(price.settings.priceFormat.minMove, 1e-7);
  chart.set([bar(MIDNIGHT)], 60);
  assert.equal(chart.digits, 0);
});

test('a gap is the time without candles before a bar', () => {
  const { chart } = built([bar(MIDNIGHT), bar(MIDNIGHT + 60), bar(MIDNIGHT + 240)]);
  assert.deepEqual([0, 1, 2].map(chart.gapBefore), [0, 0, 120]);
  chart.set(barsFrom(MIDNIGHT, 2, 3600), 3600);
  assert.equal(chart.gapBefore(1), 0);
});

/* The texts that are drawn onto a chart 400 wide, with where each begins; a letter is six wide. */
function gapTexts({ price }) {
  const texts = [];
  const context = {
    setLineDash() {},
    beginPath() {},
    moveTo() {},
    lineTo() {},
    stroke: () => texts.push('|'),
    measureText: (text) => ({ width: 6 * text.length }),
    fillText: (text, x) => texts.push([text, x]),
  };
  const target = { useMediaCoordinateSpace: (draw) => draw({ context, mediaSize: { width: 400, height: 100 } }) };
  price.primitive.paneViews()[0].renderer().draw(target);
  return texts;
}

test('ten minutes without candles are marked on the chart, fewer are not', async () => {
  const made = built([MIDNIGHT, MIDNIGHT + 600, MIDNIGHT + 1260].map((time) => bar(time)));
  made.chart.show(0, 40);
  await made.page.clock.frame();
  assert.deepEqual(gapTexts(made), ['|', ['no candles 10 min', 19]]);
});

test('gaps side by side have a line each, and text where there is room', async () => {
  const made = built([0, 1, 2, 40].map((hours) => bar(MIDNIGHT + 3600 * hours)));
  made.chart.show(0, 40);
  await made.page.clock.frame();
  assert.deepEqual(gapTexts(made), ['|', ['no candles 59 min', 9], '|', '|']);
});

test('a gap at the right edge has its text before it', async () => {
  const bars = [...barsFrom(MIDNIGHT, 39), bar(MIDNIGHT + 3 * DAY)];
  const made = built(bars);
  made.chart.show(0, 40);
  await made.page.clock.frame();
  assert.deepEqual(gapTexts(made), ['|', ['no candles 3 d', 385 - 4 - 6 * 14]]);
});

test('the pointed bar is the newest, or the one under the crosshair, whatever comes before it', () => {
  const { page, chart } = built(barsFrom(MIDNIGHT, 5));
  let hovers = 0;
  chart.onHover(() => hovers++);
  assert.equal(chart.pointed, 4);
  page.chart.crosshair({ point: {}, logical: 1.4 });
  assert.equal(chart.pointed, 1);
  chart.extend([...barsFrom(MIDNIGHT - 600, 10), ...chart.bars], 10);
  assert.equal(chart.pointed, 11);
  page.chart.crosshair({ point: {}, logical: 99 });
  assert.equal(chart.pointed, 14);
  page.chart.crosshair({ point: undefined, logical: undefined });
  assert.deepEqual([chart.pointed, hovers], [14, 3]);
  chart.set([], 60);
  assert.equal(chart.pointed, -1);
});

test('a range that was set counts at once, and the chart’s own once it is drawn', async () => {
  const { page, chart } = built(barsFrom(MIDNIGHT, 100));
  const reported = [];
  chart.onRange(({ from, to }) => reported.push([from, to]));
  chart.show(10, 20);
  chart.pan(0.5);
  assert.deepEqual(chart.range(), { from: 15, to: 25 });
  await page.clock.frame();
  assert.deepEqual(reported.at(-1), [15, 25]);
  page.chart.timeScale.setVisibleLogicalRange({ from: 40, to: 50 }); // the user drags it
  await page.clock.frame();
  assert.deepEqual(chart.range(), { from: 40, to: 50 });
});

test('zoom keeps the newest bar where it is when it is in sight, else the middle', () => {
  const { chart } = built(barsFrom(MIDNIGHT, 101));
  chart.show(60, 110);
  chart.zoom(0.5);
  assert.deepEqual(chart.range(), { from: 80, to: 105 });
  chart.show(20, 40);
  chart.zoom(2);
  assert.deepEqual(chart.range(), { from: 10, to: 50 });
});

test('the way to the newest keeps the width, with some room beside it', () => {
  const { chart } = built(barsFrom(MIDNIGHT, 1000));
  chart.show(100, 130);
  chart.toNewest();
  assert.deepEqual(chart.range(), { from: 972, to: 1002 });
  chart.show(0, 500);
  chart.toNewest();
  assert.deepEqual(chart.range(), { from: 505, to: 1005 });
});

test('more bars before the first leave in sight what is', () => {
  const { chart } = built(barsFrom(MIDNIGHT, 50));
  chart.show(5, 25);
  chart.extend([...barsFrom(MIDNIGHT - 600, 10), ...chart.bars], 10);
  assert.deepEqual(chart.range(), { from: 15, to: 35 });
  assert.equal(chart.bars[15].time, MIDNIGHT + 5 * 60);
});

test('a view of the newest bar goes on showing it, another view stays where it is', () => {
  const { chart } = built(barsFrom(MIDNIGHT, 50));
  chart.show(30, 52);
  chart.extend(barsFrom(MIDNIGHT, 60), 0, true);
  assert.deepEqual(chart.range(), { from: 40, to: 62 });
  chart.show(10, 20);
  chart.extend(barsFrom(MIDNIGHT, 70), 0, true);
  assert.deepEqual(chart.range(), { from: 10, to: 20 });
});

test('the scale is that of the bars whose middle is in sight', async () => {
  const bars = [bar(MIDNIGHT, { low: 1, high: 2 }), ...barsFrom(MIDNIGHT + 60, 3, 60, (i) => ({ high: 101 + i, volume: i }))];
  const { page, chart, price, volume } = built(bars);
  assert.equal(price.settings.autoscaleInfoProvider(), null);
  chart.show(0.2, 2.9);
  await page.clock.frame();
  assert.deepEqual(price.settings.autoscaleInfoProvider(), { priceRange: { minValue: 99, maxValue: 102 } });
  assert.deepEqual(volume.settings.autoscaleInfoProvider(), { priceRange: { minValue: 0, maxValue: 1 } });
  chart.show(10, 20);
  await page.clock.frame();
  assert.equal(price.settings.autoscaleInfoProvider(), null);
});
