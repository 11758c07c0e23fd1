/* The measure: bars, time, change and volume between two points of a chart. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { measured } from '../../../../../../cloudrun/dashboard/dashboard/assets/measure.js';
import { MIDNIGHT, barsFrom } from '../../../../../support/page.mjs';

const BARS = barsFrom(MIDNIGHT, 10, 300, (i) => ({ volume: i }));

test('both ends are measured, and every bar between them', () => {
  const found = measured(BARS, { place: 2.2, price: 100 }, { place: 4.6, price: 95 }, 300);
  assert.deepEqual(found, { bars: 4, seconds: 1200, change: -5, share: 95 / 100 - 1, volume: 2 + 3 + 4 + 5 });
});

test('a drag to the left measures the same bars', () => {
  const found = measured(BARS, { place: 4, price: 95 }, { place: 2, price: 100 }, 300);
  assert.deepEqual([found.bars, found.seconds, found.change, found.volume], [3, 900, 5, 9]);
});

test('beyond the bars nothing is measured', () => {
  const found = measured(BARS, { place: -5, price: 1 }, { place: 50, price: 2 }, 300);
  assert.deepEqual([found.bars, found.volume], [10, 45]);
});
