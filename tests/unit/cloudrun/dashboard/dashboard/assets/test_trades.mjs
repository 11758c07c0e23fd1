/* The list of the latest trades. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { createTradeList } from '../../../../../../cloudrun/dashboard/dashboard/assets/trades.js';
import { MIDNIGHT, bar, barsFrom } from '../../../../../support/page.mjs';
import { shown } from '../../../../../support/store.mjs';

test('the list of trades is newest first, forty rows at most', async () => {
  const { page, chart } = await shown([bar(MIDNIGHT, { low: 99.25 })]);
  const trades = createTradeList(chart);
  trades.add([
    [MIDNIGHT * 1000, 100, 0.5, 1],
    [MIDNIGHT * 1000 + 1000, 99.5, 1234.25, 0],
  ]);
  const rows = () => page.elements.trades.children;
  assert.deepEqual(
    rows().map((row) => [row.className, row.texts].flat()),
    [
      ['row down', '00:00:01', '99.50', '1,234.25'],
      ['row up', '00:00:00', '100.00', '0.5'],
    ],
  );
  trades.add(Array.from({ length: 45 }, (_, i) => [MIDNIGHT * 1000 + 2000 + i, 100, i, 1]));
  assert.deepEqual([rows().length, rows()[0].texts[2], rows().at(-1).texts[2]], [40, '44', '5']);
});

test('after a reset the list begins anew with the next trades', async () => {
  const { page, chart } = await shown([bar(MIDNIGHT)]);
  const trades = createTradeList(chart);
  trades.add([[MIDNIGHT * 1000, 100, 1, 1]]);
  trades.reset();
  assert.equal(page.elements.trades.children.length, 1);
  trades.add([[MIDNIGHT * 1000 + 1000, 100, 2, 1]]);
  trades.add([[MIDNIGHT * 1000 + 2000, 100, 3, 1]]);
  assert.deepEqual(
    page.elements.trades.children.map((row) => row.texts[2]),
    ['3', '2'],
  );
});

test('a paused list stands still, and has what came when it goes on', async () => {
  const { page, chart } = await shown(barsFrom(MIDNIGHT, 1));
  const list = createTradeList(chart);
  const rows = () => page.document.getElementById('trades').children.map((row) => row.children[2].textContent);
  list.add([[1000, 100, 1, 1]]);
  list.pause();
  list.add([[2000, 101, 2, 1], [3000, 102, 3, 0]]);
  assert.deepEqual(rows(), ['1']);
  assert.equal(page.document.getElementById('pause').textContent, 'Resume (2)');
  assert.equal(list.last.price, 102);
  list.pause();
  assert.deepEqual(rows(), ['3', '2', '1']);
  assert.equal(page.document.getElementById('pause').textContent, 'Pause');
});

test('a filtered list has the trades of that size and above, earlier ones too', async () => {
  const { page, chart } = await shown(barsFrom(MIDNIGHT, 1));
  const list = createTradeList(chart);
  const rows = () => page.document.getElementById('trades').children.map((row) => row.children[2].textContent);
  list.add([[1000, 100, 5, 1], [2000, 100, 0.5, 1]]);
  list.filter(1);
  list.add([[3000, 100, 0.9, 1], [4000, 100, 1, 1]]);
  assert.deepEqual(rows(), ['1', '5']);
  list.filter(0);
  assert.deepEqual(rows(), ['1', '0.9', '0.5', '5']);
});

test('big trades are those of ten times the mean size, or of the size that is given, each once', async () => {
  const { chart } = await shown(barsFrom(MIDNIGHT, 1));
  const found = [];
  const list = createTradeList(chart, (trades, threshold) => found.push([trades.map(({ size }) => size), threshold]));
  list.add(Array.from({ length: 99 }, (_, i) => [i, 100, 1, 1]));
  list.add([[1000, 100, 20, 1]]);
  assert.deepEqual(found.at(-1), [[20], 12]);
  list.reset();
  list.add([[1000, 100, 20, 1]]);
  list.bigFrom(5);
  assert.deepEqual(found.at(-1), [[20], 5]);
});
