/* The volume profile: the volume of each step of price, from candles. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { profileOf } from '../../../../../../cloudrun/dashboard/dashboard/assets/profile.js';
import { MIDNIGHT, bar } from '../../../../../support/page.mjs';

test('a bar is spread evenly from its low to its high', () => {
  const bars = [bar(MIDNIGHT, { low: 100, high: 104, volume: 8 }), bar(MIDNIGHT + 60, { low: 103, high: 104, volume: 5 })];
  assert.deepEqual(profileOf(bars, 4), { low: 100, height: 1, volumes: [2, 2, 2, 7] });
});

test('a bar of one price is in the row of its price', () => {
  const bars = [bar(MIDNIGHT, { low: 100, high: 104, volume: 4 }), bar(MIDNIGHT + 60, { low: 102, high: 102, volume: 3 })];
  assert.deepEqual(profileOf(bars, 4).volumes, [1, 1, 4, 1]);
  assert.deepEqual(profileOf([bar(MIDNIGHT, { low: 5, high: 5, volume: 3 })], 2).volumes, [3, 0]);
});

test('the rows have the volume of the bars, and no bars have no profile', () => {
  const bars = [bar(MIDNIGHT, { low: 99.3, high: 107.1, volume: 8 }), bar(MIDNIGHT + 60, { low: 91, high: 100, volume: 5 })];
  const total = profileOf(bars).volumes.reduce((sum, volume) => sum + volume, 0);
  assert.ok(Math.abs(total - 13) < 1e-9);
  assert.equal(profileOf([]), null);
});
