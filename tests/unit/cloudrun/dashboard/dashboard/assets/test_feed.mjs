/* The state of the feed, in one word and in full. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { createFeedStatus } from '../../../../../../cloudrun/dashboard/dashboard/assets/feed.js';
import { MIDNIGHT, openPage } from '../../../../../support/page.mjs';
import { pairs } from '../../../../../support/store.mjs';

test('the word of the feed is its worst fault', () => {
  const { document } = openPage();
  const feed = createFeedStatus();
  const written = [];
  function write() {
    feed.draw(null);
    const [word, lag] = ['feed', 'lag'].map((id) => document.getElementById(id));
    written.push([word.textContent, word.className, lag.textContent]);
  }
  write();
  feed.connect(true);
  write();
  const well = { proven: MIDNIGHT * 1000, lag: 1250, reconnects: 1 };
  const unfilled = { ...well, unfilled: 1, unfilled_since: MIDNIGHT };
  for (const state of [well, unfilled, { ...well, gaps: 2, gaps_since: MIDNIGHT }, { ...well, silent: 7 }, { silent: 7, postgres: 90 }]) {
    feed.state = state;
    write();
  }
  feed.connect(false);
  write();
  assert.deepEqual(written, [
    ['connecting', 'feed wait', ''],
    ['live', 'feed ok', ''],
    ['live', 'feed ok', '· 1,250 ms'],
    ['live', 'feed ok', '· 1,250 ms'],
    ['live', 'feed warn', '· 1,250 ms'],
    ['feed silent for 7 s', 'feed bad', ''],
    ['live data 2 min old', 'feed bad', ''],
    ['reconnecting', 'feed wait', ''],
  ]);
});

test('the feed’s health in full', () => {
  const { document } = openPage();
  const feed = createFeedStatus();
  const health = () => pairs(document.getElementById('health').texts);
  feed.connect(true);
  feed.draw(null);
  assert.deepEqual(health(), {
    Connection: 'open',
    'Live candles': 'from Postgres',
    Trades: 'from the topic',
  });
  feed.state = { proven: MIDNIGHT * 1000 + 62_000, lag: 12, reconnects: 3, gaps: 2, gaps_since: MIDNIGHT, trades: 'away' };
  Object.assign(feed.state, { unfilled: 1, unfilled_since: MIDNIGHT - 600 });
  feed.draw({ time: MIDNIGHT * 1000 + 61_000 });
  assert.deepEqual(health(), {
    Connection: 'open',
    'Live candles': 'from Postgres',
    Trades: 'away',
    'Proven until': '00:01:02 UTC',
    Lag: '12 ms',
    'Last trade': '00:01:01 UTC',
    'Open gaps': '2 since 2024-10-04 00:00',
    'Unfilled gaps': '1, the last 2024-10-03 23:50',
    Reconnects: '3',
  });
});
