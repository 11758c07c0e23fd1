/* The coverage calendar. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { openCalendar } from '../../../../../../cloudrun/dashboard/dashboard/assets/calendar.js';
import { CONFIG, openPage } from '../../../../../support/page.mjs';

const DAYS = {
  '2023-12-31': { state: 'loaded', reason: '', quarantined: 0 },
  '2024-01-01': { state: 'loaded', reason: '', quarantined: 3 },
  '2024-01-02': { state: 'failed', reason: 'no rows', quarantined: 0 },
  '2024-03-01': { state: 'no_trades', reason: '', quarantined: 0 },
};

/* The calendar of one symbol, for which the server has this answer. */
async function calendar(answer) {
  const page = openPage({ answer: () => answer });
  const opened = [];
  await openCalendar({
    symbols: ['BTCUSDT'],
    chosen: 'BTCUSDT',
    states: CONFIG.dayStates,
    open: (...day) => opened.push(day),
  });
  const [box] = page.elements.calendar.children;
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

test('a calendar without an answer of the warehouse shows the fault', async () => {
  const { box } = await calendar({ symbol: 'BTCUSDT', days: {}, age_s: null, fault: 'away' });
  assert.deepEqual(
    box.children.map(({ textContent }) => textContent),
    ['BTCUSDTno day is loaded', 'not known now: away'],
  );
});
