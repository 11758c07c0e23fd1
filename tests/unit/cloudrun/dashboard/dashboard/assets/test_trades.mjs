/* The list of the latest trades. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { createTradeList } from '../../../../../../cloudrun/dashboard/dashboard/assets/trades.js';
import { MIDNIGHT, bar } from '../../../../../support/page.mjs';
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
