/* Places of bars by time, and times by place. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { logicalOf, placeOf, timeAt } from '../../../../../../cloudrun/dashboard/dashboard/assets/places.js';
import { MIDNIGHT, bar } from '../../../../../support/page.mjs';

/* 00:00, 00:01, 00:05. */
const BARS = [0, 60, 300].map((after) => bar(MIDNIGHT + after));

test('the place of a time is that of the last bar up to it', () => {
  assert.deepEqual([-1, 0, 59, 60, 299, 300, 900].map((after) => placeOf(BARS, MIDNIGHT + after)), [-1, 0, 0, 1, 1, 2, 2]);
  assert.equal(placeOf([], MIDNIGHT), -1);
});

test('beyond the bars time goes on in steps', () => {
  assert.deepEqual([-120, 60, 420].map((after) => logicalOf(BARS, MIDNIGHT + after, 60)), [-2, 1, 4]);
  assert.deepEqual([-2, 1, 4].map((place) => timeAt(BARS, place, 60) - MIDNIGHT), [-120, 60, 420]);
  assert.equal(logicalOf([], MIDNIGHT, 60), 0);
});
