/* Marks of big trades: their size on the chart, and which of them lie in its bars. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { drawBigTrades, radiusOf } from '../../../../../../cloudrun/dashboard/dashboard/assets/big_trades.js';
import { MIDNIGHT, barsFrom } from '../../../../../support/page.mjs';

test('a mark grows with the size, within bounds', () => {
  assert.deepEqual([1, 2, 4, 8, 1e6].map((size) => radiusOf(size, 1)), [3, 6, 9, 12, 14]);
});

test('a trade is marked at its bar and price, one outside of the bars is not', () => {
  const arcs = [];
  const context = { setLineDash() {}, beginPath() {}, fill() {}, stroke() {}, arc: (...given) => arcs.push(given.slice(0, 3)) };
  const at = (after, price) => ({ time: (MIDNIGHT + after) * 1000, price, size: 2, bought: 1 });
  drawBigTrades(
    { useMediaCoordinateSpace: (draw) => draw({ context }) },
    [at(-1, 90), at(61, 101), at(119.9, 102), at(180, 103)],
    { bars: barsFrom(MIDNIGHT, 3), step: 60, threshold: 2, xOf: (place) => 10 * place, yOf: (price) => price, colours: {} },
  );
  assert.deepEqual(arcs, [[10, 101, 3], [10, 102, 3]]);
});
