/* Numbers and times as the page writes them. */
import assert from 'node:assert/strict';
import test from 'node:test';

import * as format from '../../../../../../cloudrun/dashboard/dashboard/assets/format.js';

test('a number has the decimals that it has, and no digit of the float', () => {
  const written = [
    [0, '0'],
    [1234567.5, '1,234,567.5'],
    [0.1 + 0.2, '0.3'],
    [1530000000.12345, '1,530,000,000.12345'],
    [0.000000001, '0.000000001'],
    [-1234.25, '-1,234.25'],
    [123456789012345.6, '123,456,789,012,346'],
  ];
  for (const [value, text] of written) assert.equal(format.number(value), text);
});

test('a number that is not known is a dash', () => {
  assert.equal(format.number(null), '–');
  assert.equal(format.number(undefined, 2), '–');
  assert.equal(format.short(null), '–');
});

test('a number has the decimals that are requested', () => {
  assert.equal(format.number(1.005, 2), '1.01');
  assert.equal(format.number(100, 2), '100.00');
  assert.equal(format.number(0.5, 0), '1');
});

test('a price has as many decimals as the others, and more where it has them', () => {
  assert.equal(format.price(61000, 1), '61,000.0');
  assert.equal(format.price(61000.125, 1), '61,000.125');
  assert.equal(format.price(0.0123, 7), '0.0123000');
});

test('decimals of a number are counted without the noise of floats', () => {
  const counted = [
    [100, 0],
    [0.1, 1],
    [0.1 + 0.2, 1],
    [61000.25, 2],
    [0.0000123, 7],
    [1e-9, 9],
    [1000000.1, 1],
    [-0.25, 2],
  ];
  for (const [value, decimals] of counted) assert.equal(format.decimalsOf(value), decimals, String(value));
});

test('a short number has six digits, or a letter', () => {
  const written = [
    [0, '0'],
    [12.3456789, '12.3457'],
    [9999.99, '9,999.99'],
    [10000, '10K'],
    [1234567, '1.23M'],
    [-7654321000, '-7.65B'],
  ];
  for (const [value, text] of written) assert.equal(format.short(value), text);
});

test('times are UTC', () => {
  assert.equal(format.clock(0), '00:00:00');
  assert.equal(format.clock(1727999999999), '23:59:59');
  assert.equal(format.minute(1728000000), '2024-10-04 00:00');
});

test('a share is a percentage with its sign, and never minus nothing', () => {
  const written = [
    [0.0123, '+1.23 %'],
    [-0.0123, '-1.23 %'],
    [-0.00001, '+0.00 %'],
    [0, '+0.00 %'],
    [1, '+100.00 %'],
  ];
  for (const [share, text] of written) assert.equal(format.percent(share), text);
});

test('an age has the unit that suits its length', () => {
  const written = [
    [0, '0 s'],
    [89, '89 s'],
    [90, '2 min'],
    [5399, '90 min'],
    [7200, '2 h'],
    [172799, '48 h'],
    [172800, '2 d'],
    [8640000, '100 d'],
  ];
  for (const [seconds, text] of written) assert.equal(format.age(seconds), text);
});

test('what did not fall is up', () => {
  assert.deepEqual([1, 0, -1].map(format.sign), ['up', 'up', 'down']);
});

test('times are in the reader’s zone where that is chosen, and say so', () => {
  const before = process.env.TZ;
  process.env.TZ = 'Asia/Kolkata';
  try {
    format.setZone(true);
    assert.deepEqual(
      [format.minute(1728000000), format.clock(1728000001000), format.zoneAt(1728000000)],
      ['2024-10-04 05:30', '05:30:01', 'UTC+05:30'],
    );
    assert.deepEqual([format.tick(1728000000, true), format.tick(1728003600, false)], ['10-04 05:30', '06:30']);
    process.env.TZ = 'America/St_Johns';
    assert.equal(format.zoneAt(1728000000), 'UTC-02:30');
  } finally {
    format.setZone(false);
    process.env.TZ = before ?? 'UTC';
  }
  assert.deepEqual([format.zoneAt(1728000000), format.tick(1728000000, true)], ['UTC', null]);
});
