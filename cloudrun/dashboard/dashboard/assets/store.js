/* The bars on the chart: loaded from the API, extended as the user pans, and changed by events of the stream. */
import { barOf, barsOf, get } from './api.js';
import { DAY } from './format.js';
import { painted } from './painted.js';
import { SILENT_MS, createStream } from './stream.js';

const PAGE = 1000; // bars of one request for older or newer ones
const MAX_BARS = 10000; // in the browser: more than a wide screen shows; above it the far end is dropped
const NEAR = 150; // bars between the edge of the view and the end of the loaded bars at which more are requested
const RETRY_MS = 3000;
const FAULT_RETRY_MS = 11000; // the server itself retries its upstream after ten seconds
const REFRESH_MS = 300000; // history may have been loaded meanwhile
const HURRY_MS = 60000; // the same while the chart has room for it
const LONG_GAP = 7 * DAY; // older prices from across it may be far from those in sight

/* `store.on` holds the callbacks: `answer({state, reason, isRefused, fault, age, isCut})`, `bars()`, `connection(isOpen)`,
   `feed(state)`, `reset()` and `trades(rows)`. */
export function createBarStore(chart) {
  const on = { answer() {}, bars() {}, connection() {}, feed() {}, reset() {}, trades() {} };
  const stream = createStream({ onMessage: take, onConnection: (isOpen) => on.connection(isOpen) });
  let query = null; // the last request: {symbol, interval, span} or {symbol, interval, from, to}
  let shown = null; // {symbol, interval, step, units, isInverse, isCut} of the bars on the chart
  let generation = 0; // of loads: the answer to an older one is dropped
  let isBusy = false;
  let hasFailed = false; // the last load
  let isAtBeginning = false; // no older bars exist, or they lie across a long gap
  let mayCross = false; // older bars from across a long gap may come into sight
  let isAtEnd = false; // no newer bars exist, of a symbol that is not live
  let isAttached = false; // the newest bar of all is on the chart
  let newest = null; // open time of the newest live minute
  let reads = 0; // under way; events wait for their end
  let pending = []; // bars that the stream sent
  const changed = new Set(); // open times of changed bars that have to be requested
  let isDrawing = false;
  let amending = Promise.resolve();
  let refreshed = 0; // when the bars were read as a whole last, in milliseconds
  let retry = 0; // the timer
  let deferred = null; // a retry that fell due while the page was hidden

  /* Calls `action` after `delay`; in a hidden page, when it is shown again. */
  function later(action, delay) {
    cancelRetry();
    retry = setTimeout(() => (document.hidden ? (deferred = action) : action()), delay);
  }

  function cancelRetry() {
    clearTimeout(retry);
    deferred = null;
  }

  const candlesOf = (span) => get('/api/candles', { symbol: shown.symbol, interval: shown.interval, ...span });

  const reachesNewest = (time) => newest !== null && time >= newest - (newest % shown.step);

  /* Replaces the bars on the chart by the requested ones; without `request`, by those of the last request. */
  async function load(request) {
    query = request || query;
    const mine = ++generation;
    const { symbol, interval, span, from, to } = query;
    isAtBeginning = isAtEnd = isAttached = mayCross = false;
    isBusy = true;
    hasFailed = false;
    refreshed = Date.now();
    reads++;
    cancelRetry();
    on.answer({ state: 'loading' });
    try {
      const range = from ? { start: from, end: to } : { span, slide: 1 };
      const view = await get('/api/candles', { symbol, interval, ...range });
      if (mine !== generation) return;
      const isOther = !shown || shown.symbol !== view.symbol || shown.interval !== view.interval;
      if (isOther) dropEvents(); // they belong to the bars that were shown before
      const { units, inverse, cut } = view;
      shown = { symbol: view.symbol, interval: view.interval, step: view.step, units, isInverse: inverse, isCut: cut };
      newest = view.newest;
      const list = barsOf(view.bars);
      chart.set(list, view.step, { from: view.start, inverse });
      isAttached = list.length && newest !== null ? reachesNewest(list[list.length - 1].time) : !from;
      // Some room beside the newest bar; none beside a range with an end of its own.
      if (list.length) chart.show(-0.5, list.length + (from ? -0.5 : Math.min(6, list.length / 10)));
      answered(view);
      if (isOther || !stream.source) stream.open(shown.symbol, shown.interval);
    } catch (error) {
      if (mine !== generation) return;
      hasFailed = true;
      on.answer({ state: 'failed', reason: error.message, isRefused: error.isRefused });
      if (!error.isRefused) later(load, RETRY_MS);
    } finally {
      if (mine === generation) isBusy = false;
      release();
    }
  }

  function answered(view) {
    const state = chart.bars.length ? 'ready' : 'empty';
    on.answer({ state, fault: view.fault, age: view.age_s, isCut: shown.isCut });
    clearTimeout(retry);
    if (view.fault) later(() => (view.age_s === null ? load() : refresh()), FAULT_RETRY_MS);
  }

  /* Ends a read. The answer may be older than events that came meanwhile, so these are applied after it. */
  function release() {
    reads--;
    applyEvents();
    on.bars();
  }

  /* Reads the bars on the chart again, without moving the view. */
  async function refresh() {
    const bars = chart.bars;
    if (!bars.length) return load();
    isAtEnd = false;
    refreshed = Date.now();
    const mine = generation;
    const range = chart.range();
    const first = Math.min(bars.length - 1, Math.max(0, Math.floor(range ? range.from : 0)));
    reads++;
    try {
      const until = isAttached ? {} : { end: bars[bars.length - 1].time + shown.step };
      const view = await candlesOf({ start: bars[first].time, ...until });
      if (mine !== generation) return;
      newest = view.newest;
      if (view.start > bars[bars.length - 1].time + shown.step) return load(); // more was missed than one answer holds
      const fresh = barsOf(view.bars);
      if (fresh.length) {
        const before = chart.bars.filter((bar) => bar.time < fresh[0].time);
        chart.extend(before.concat(fresh), 0, isAttached);
      }
      answered(view);
      if (!hasRoom()) return;
      isAtBeginning = false;
      moved(chart.range());
    } catch (error) {
      console.info('refresh:', error.message);
      if (mine === generation) later(refresh, RETRY_MS);
    } finally {
      release();
    }
  }

  async function loadOlder() {
    if (isBusy || isAtBeginning || !chart.bars.length) return;
    isBusy = true;
    const mine = generation;
    const first = chart.bars[0].time;
    const began = Date.now();
    try {
      const view = await candlesOf({ start: Math.max(0, first - PAGE * shown.step), end: first, slide: 1 });
      if (mine !== generation) return;
      const more = barsOf(view.bars).filter((bar) => bar.time < first);
      isAtBeginning = !more.length || (!mayCross && hasRoom() && first - more[more.length - 1].time > LONG_GAP);
      if (view.fault) answered(view);
      if (isAtBeginning) return;
      let list = more.concat(chart.bars);
      if (list.length > MAX_BARS) {
        list = list.slice(0, MAX_BARS);
        isAttached = false;
      }
      chart.extend(list, more.length, false, view.start);
      painted('older', began);
    } catch (error) {
      console.info('older bars:', error.message);
      isAtBeginning = true;
      setTimeout(() => (isAtBeginning = false), RETRY_MS);
    } finally {
      if (mine === generation) {
        isBusy = false;
        moved(chart.range()); // a fast pan may have passed the end of these bars already
      }
    }
  }

  async function loadNewer() {
    if (isBusy || isAttached || isAtEnd || !chart.bars.length) return;
    isBusy = true;
    reads++;
    const mine = generation;
    const last = chart.bars[chart.bars.length - 1].time;
    const next = last + shown.step;
    try {
      let view = await candlesOf({ start: next, end: next + PAGE * shown.step, towards: 'newer' });
      const end = newest === null ? Math.floor(Date.now() / 1000) : newest + 60;
      if (!view.bars.t.length && end > next) view = (await firstAfterGap(next, end)) || view;
      if (mine !== generation) return;
      newest = view.newest;
      const more = barsOf(view.bars).filter((bar) => bar.time > last);
      isAtEnd = newest === null && !more.length;
      let list = chart.bars.concat(more);
      const dropped = Math.max(0, list.length - MAX_BARS);
      if (dropped) {
        list = list.slice(dropped);
        isAtBeginning = false;
      }
      if (more.length) chart.extend(list, -dropped, false, dropped ? list[0].time : undefined);
      isAttached = reachesNewest(list[list.length - 1].time);
    } catch (error) {
      console.info('newer bars:', error.message);
    } finally {
      if (mine === generation) isBusy = false;
      release();
    }
  }

  /* The first answer with bars from `next` on, found by the daily bars; null without any before `end`. */
  async function firstAfterGap(next, end) {
    const days = await candlesOf({ start: next, end, interval: '1d' });
    for (const day of days.bars.t) {
      const from = Math.max(next, day);
      // oxlint-disable-next-line no-await-in-loop -- one or two: all bars of the first day may lie before `next`
      const view = await candlesOf({ start: from, end: from + Math.max(PAGE * shown.step, DAY) });
      if (view.bars.t.length) return view;
    }
    return null;
  }

  /* True while the view begins before the first bar. */
  function hasRoom() {
    const range = chart.range();
    return range !== null && range.from < -1;
  }

  function refreshWhenDue() {
    if (document.hidden || isBusy || !chart.bars.length) return;
    if (Date.now() - refreshed >= (hasRoom() ? HURRY_MS : REFRESH_MS)) refresh();
  }

  function moved(range) {
    if (!range || !shown || !chart.bars.length) return;
    const near = Math.max(NEAR, range.to - range.from);
    if (range.from < near) loadOlder();
    if (range.to > chart.bars.length - near) loadNewer();
  }

  /* Takes an event of the stream. After a reset the bars are read again, and what follows is applied to them. */
  function take(message) {
    if (message.bar) {
      pending.push(message.bar);
      if (pending.length > PAGE) pending.shift();
      draw();
    } else if (message.trades) on.trades(message.trades);
    else if (message.state) on.feed(message.state);
    else if (message.changed !== undefined) {
      changed.add(message.changed);
      requestChanged();
    } else if (message.reset) {
      on.reset();
      if (chart.bars.length) refresh();
    }
  }

  /* Draws once for all events that come between two frames. */
  function draw() {
    if (isDrawing) return;
    isDrawing = true;
    requestAnimationFrame(() => {
      isDrawing = false;
      applyEvents();
      on.bars();
    });
  }

  function applyEvents() {
    if (reads) return;
    requestChanged();
    const rows = pending;
    pending = [];
    for (const row of rows) {
      const bar = barOf(row);
      const bars = chart.bars;
      newest = Math.max(newest || 0, bar.time);
      if (!bars.length && !query.from) return hasFailed ? undefined : load(); // the first bar of this symbol
      if (!isAttached) continue;
      if (bars.length >= MAX_BARS + PAGE) chart.extend(bars.slice(PAGE), -PAGE, false, bars[PAGE].time);
      if (bar.time >= bars[bars.length - 1].time) chart.put(bar);
      else chart.amend(bar);
      painted('bar', row);
    }
  }

  /* Requests the changed bars, one after the other. */
  function requestChanged() {
    if (reads) return;
    for (const time of changed) amending = amending.then(() => amend(time));
    changed.clear();
  }

  function dropEvents() {
    pending = [];
    changed.clear();
  }

  async function amend(time) {
    if (!shown) return;
    const view = await candlesOf({ start: time, end: time + shown.step }).catch(() => null);
    if (!view || !shown || view.symbol !== shown.symbol || view.step !== shown.step) return;
    barsOf(view.bars).forEach((bar) => chart.amend(bar));
  }

  function start() {
    chart.onRange(moved);
    // A hidden page has no stream and makes no request.
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) return stream.close();
      stream.reopen();
      deferred?.();
      deferred = null;
    });
    setInterval(stream.checkSilence, SILENT_MS / 4);
    setInterval(refreshWhenDue, HURRY_MS);
  }

  /* Removes the symbol's bars and ends its stream, before another symbol is loaded. */
  function clear() {
    generation++;
    dropEvents();
    clearTimeout(retry);
    stream.clear();
    shown = null;
    chart.set([], 60);
  }

  return {
    on,
    load,
    start,
    clear,
    /* The reader moves the chart from now on, so older bars may come into sight however far they are. */
    touch() {
      if (!mayCross) isAtBeginning = false;
      mayCross = true;
    },
    get shown() {
      return shown;
    },
    get newest() {
      return newest;
    },
    get isBusy() {
      return isBusy;
    },
    get isAttached() {
      return isAttached;
    },
    get stream() {
      return stream.source;
    },
  };
}
