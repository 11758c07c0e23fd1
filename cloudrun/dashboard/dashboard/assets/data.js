/* What the chart shows and where it comes from: bars from the API, and what is pushed. Tells the page through `on`. */
(function (candles) {
  'use strict';
  const chart = window.candleChart;
  const DAY = 86400;
  const PAGE = 1000; // bars of one step further
  const KEPT = 10000; // bars in the browser at most, more than a wide screen shows; the far end goes
  const NEAR = 150; // bars from the end when more are asked for
  const RETRY_MS = 3000;
  const FAULT_RETRY_MS = 11000; // the server asks upstream again after ten seconds
  const AGAIN_MS = 300000; // history may have been loaded meanwhile
  const SILENT_MS = 10000; // the feed's state comes every second
  const ANSWER_MS = 20000;
  /* Of a bar, in the order of what is pushed. */
  const FIELDS = ['time', 'open', 'high', 'low', 'close', 'volume', 'turnover', 'count', 'bought', 'doubt', 'source'];

  const on = { answer() {}, bars() {}, connection() {}, feed() {}, reset() {}, trades() {} };
  let want = null; // {symbol, interval, span} or {symbol, interval, from, to}
  let shown = null; // {symbol, interval, step} of the bars on the chart
  let generation = 0; // of loads: what an older one brings is dropped
  let busy = false;
  let hasFailed = false; // the last load
  let atBeginning = false;
  let atEnd = false; // of the history of a symbol that is not live
  let attached = false; // the newest bar there is stands on the chart
  let newest = null; // when the newest live minute opens
  let held = 0; // reads under way, during which events wait
  let pending = []; // bars that were pushed
  const changed = new Set(); // when bars open that are to be asked for
  let isDrawing = false;
  let amending = Promise.resolve();
  let retry = 0;
  let owed = null; // what was due while nobody looked
  let stream = null;
  let heardAt = 0;
  let lastId = '';

  async function get(path, query) {
    const answer = await fetch(`${path}?${new URLSearchParams(query)}`, { signal: AbortSignal.timeout(ANSWER_MS) });
    const content = await answer.json().catch(() => ({ error: `the server answers ${answer.status}` }));
    if (!answer.ok) throw Object.assign(new Error(content.error), { isRefused: answer.status === 400 });
    return content;
  }

  /* Once more, a little later; in a tab in the background, when somebody looks again. */
  function later(action, delay) {
    clearTimeout(retry);
    owed = null;
    retry = setTimeout(() => (document.hidden ? (owed = action) : action()), delay);
  }

  const candlesOf = (query) => get('/api/candles', { symbol: shown.symbol, interval: shown.interval, ...query });

  function unpack(bars) {
    return bars.t.map((time, i) => ({
      time,
      open: bars.open[i],
      high: bars.high[i],
      low: bars.low[i],
      close: bars.close[i],
      volume: bars.volume[i],
      turnover: bars.turnover[i],
      count: bars.trade_count[i],
      bought: bars.buy_volume[i],
      doubt: bars.doubt[i],
      source: bars.source[i],
    }));
  }

  function pushed(row) {
    return Object.fromEntries(FIELDS.map((field, i) => [field, row[i]]));
  }

  const reachesNewest = (time) => newest !== null && time >= newest - (newest % shown.step);

  /* Show what is wanted, from the beginning. */
  async function load(wanted) {
    want = wanted || want;
    const mine = ++generation;
    const { symbol, interval, span, from, to } = want;
    atBeginning = atEnd = attached = false;
    busy = true;
    hasFailed = false;
    held++;
    clearTimeout(retry);
    owed = null;
    on.answer({ state: 'loading' });
    try {
      const range = from ? { start: from, end: to } : { span, slide: 1 };
      const view = await get('/api/candles', { symbol, interval, ...range });
      if (mine !== generation) return;
      const isOther = !shown || shown.symbol !== view.symbol || shown.interval !== view.interval;
      if (isOther) forget(); // events of what was shown before
      shown = { symbol: view.symbol, interval: view.interval, step: view.step };
      newest = view.newest;
      const list = unpack(view.bars);
      chart.set(list, view.step);
      attached = list.length && newest !== null ? reachesNewest(list[list.length - 1].time) : !from;
      // Room beside the newest bar; none beside a range that was asked for.
      if (list.length) chart.show(-0.5, list.length + (from ? -0.5 : Math.min(6, list.length / 10)));
      answered(view);
      if (isOther || !stream) openStream();
    } catch (error) {
      if (mine !== generation) return;
      hasFailed = true;
      on.answer({ state: 'failed', reason: error.message, isRefused: error.isRefused });
      if (!error.isRefused) later(load, RETRY_MS);
    } finally {
      if (mine === generation) busy = false;
      release();
    }
  }

  function answered(view) {
    on.answer({ state: chart.bars.length ? 'ready' : 'empty', fault: view.fault, age: view.age_s });
    clearTimeout(retry);
    if (view.fault) later(() => (view.age_s === null ? load() : refresh()), FAULT_RETRY_MS);
  }

  /* What was read may be older than events that came meanwhile: these are applied after it. */
  function release() {
    held--;
    flush();
    on.bars();
  }

  /* What is shown, again, without moving it. */
  async function refresh() {
    const bars = chart.bars;
    if (!bars.length) return load();
    atEnd = false;
    const mine = generation;
    const range = chart.range();
    const first = Math.min(bars.length - 1, Math.max(0, Math.floor(range ? range.from : 0)));
    held++;
    try {
      const until = attached ? {} : { end: bars[bars.length - 1].time + shown.step };
      const view = await candlesOf({ start: bars[first].time, ...until });
      if (mine !== generation) return;
      newest = view.newest;
      if (view.start > bars[bars.length - 1].time + shown.step) return load(); // more was missed than one answer holds
      const fresh = unpack(view.bars);
      if (fresh.length) {
        const before = chart.bars.filter((bar) => bar.time < fresh[0].time);
        chart.extend(before.concat(fresh), 0, attached);
      }
      answered(view);
    } catch (error) {
      console.info('refresh:', error.message);
      if (mine === generation) later(refresh, RETRY_MS);
    } finally {
      release();
    }
  }

  async function older() {
    if (busy || atBeginning || !chart.bars.length) return;
    busy = true;
    const mine = generation;
    const first = chart.bars[0].time;
    const began = Date.now();
    try {
      const view = await candlesOf({ start: Math.max(0, first - PAGE * shown.step), end: first, slide: 1 });
      if (mine !== generation) return;
      const more = unpack(view.bars).filter((bar) => bar.time < first);
      atBeginning = !more.length;
      if (view.fault) answered(view);
      if (!more.length) return;
      let list = more.concat(chart.bars);
      if (list.length > KEPT) {
        list = list.slice(0, KEPT);
        attached = false;
      }
      chart.extend(list, more.length);
      painted('older', began);
    } catch (error) {
      console.info('older bars:', error.message);
      atBeginning = true;
      setTimeout(() => (atBeginning = false), RETRY_MS);
    } finally {
      if (mine === generation) {
        busy = false;
        moved(chart.range()); // who pans fast is ahead of what came
      }
    }
  }

  async function newer() {
    if (busy || attached || atEnd || !chart.bars.length) return;
    busy = true;
    held++;
    const mine = generation;
    const last = chart.bars[chart.bars.length - 1].time;
    const next = last + shown.step;
    try {
      let view = await candlesOf({ start: next, end: next + PAGE * shown.step });
      const end = newest === null ? Math.floor(Date.now() / 1000) : newest + 60;
      if (!view.bars.t.length && end > next) view = (await beyond(next, end)) || view;
      if (mine !== generation) return;
      newest = view.newest;
      const more = unpack(view.bars).filter((bar) => bar.time > last);
      atEnd = newest === null && !more.length;
      let list = chart.bars.concat(more);
      const dropped = Math.max(0, list.length - KEPT);
      if (dropped) {
        list = list.slice(dropped);
        atBeginning = false;
      }
      if (more.length) chart.extend(list, -dropped);
      attached = reachesNewest(list[list.length - 1].time);
    } catch (error) {
      console.info('newer bars:', error.message);
    } finally {
      if (mine === generation) busy = false;
      release();
    }
  }

  /* The first bars from `next` on, where there are none for long: the days that have any lead to them. */
  async function beyond(next, end) {
    const days = await candlesOf({ start: next, end, interval: '1d' });
    for (const day of days.bars.t) {
      const from = Math.max(next, day);
      // oxlint-disable-next-line no-await-in-loop -- one or two: all bars of the first day may lie before `next`
      const view = await candlesOf({ start: from, end: from + Math.max(PAGE * shown.step, DAY) });
      if (view.bars.t.length) return view;
    }
    return null;
  }

  function moved(range) {
    if (!range || !shown || !chart.bars.length) return;
    const near = Math.max(NEAR, range.to - range.from);
    if (range.from < near) older();
    if (range.to > chart.bars.length - near) newer();
  }

  /* The stream. Its first event may say: load what you show, then apply what follows. */
  function openStream() {
    closeStream();
    if (document.hidden || !shown) return;
    const query = new URLSearchParams({ symbol: shown.symbol, interval: shown.interval, after: lastId });
    const mine = (stream = new EventSource(`/api/stream?${query}`));
    heardAt = Date.now();
    mine.addEventListener('open', () => on.connection(true));
    mine.addEventListener('error', () => {
      on.connection(false);
      // The browser comes back by itself, unless it was refused.
      if (mine.readyState === EventSource.CLOSED) setTimeout(() => mine === stream && openStream(), RETRY_MS);
    });
    mine.addEventListener('message', (event) => {
      heardAt = Date.now();
      if (event.lastEventId) lastId = event.lastEventId;
      take(JSON.parse(event.data));
    });
  }

  /* A connection whose other end is gone may look open for hours. */
  function listen() {
    if (!stream || Date.now() - heardAt < SILENT_MS) return;
    on.connection(false);
    openStream();
  }

  function closeStream() {
    if (stream) stream.close();
    stream = null;
  }

  function take(message) {
    if (message.bar) {
      pending.push(message.bar);
      if (pending.length > PAGE) pending.shift();
      draw();
    } else if (message.trades) on.trades(message.trades);
    else if (message.state) on.feed(message.state);
    else if (message.changed !== undefined) {
      changed.add(message.changed);
      ask();
    } else if (message.reset) {
      on.reset();
      if (chart.bars.length) refresh();
    }
  }

  /* However many events come between two frames, one drawing. */
  function draw() {
    if (isDrawing) return;
    isDrawing = true;
    requestAnimationFrame(() => {
      isDrawing = false;
      flush();
      on.bars();
    });
  }

  function flush() {
    if (held) return;
    ask();
    const rows = pending;
    pending = [];
    for (const row of rows) {
      const bar = pushed(row);
      const bars = chart.bars;
      newest = Math.max(newest || 0, bar.time);
      if (!bars.length && !want.from) return hasFailed ? undefined : load(); // the first of this symbol
      if (!attached) continue;
      if (bars.length >= KEPT + PAGE) chart.extend(bars.slice(PAGE), -PAGE);
      if (bar.time >= bars[bars.length - 1].time) chart.put(bar);
      else chart.amend(bar);
      painted('bar', row);
    }
  }

  /* For the bars that have changed, one after the other. */
  function ask() {
    if (held) return;
    for (const time of changed) amending = amending.then(() => amend(time));
    changed.clear();
  }

  function forget() {
    pending = [];
    changed.clear();
  }

  async function amend(time) {
    if (!shown) return;
    const view = await candlesOf({ start: time, end: time + shown.step }).catch(() => null);
    if (!view || !shown || view.symbol !== shown.symbol || view.step !== shown.step) return;
    unpack(view.bars).forEach((bar) => chart.amend(bar));
  }

  /* For whoever measures, and set `candles.painted = []`: what came to the screen, and when (ms). */
  function painted(kind, what) {
    if (!candles.painted) return;
    // The chart draws in the next frame; as the one after it begins, that one is painted.
    requestAnimationFrame(() => requestAnimationFrame(() => candles.painted.push([kind, what, Date.now()])));
  }

  function start() {
    chart.onRange(moved);
    // A tab in the background costs nothing.
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) return closeStream();
      openStream();
      owed?.();
      owed = null;
    });
    setInterval(listen, SILENT_MS / 4);
    setInterval(() => !document.hidden && !busy && chart.bars.length && refresh(), AGAIN_MS);
  }

  candles.data = {
    on,
    get,
    load,
    start,
    painted,
    get shown() {
      return shown;
    },
    get newest() {
      return newest;
    },
    get isBusy() {
      return busy;
    },
    get isAttached() {
      return attached;
    },
    get stream() {
      return stream;
    },
    /* Another symbol: nothing of the old one stays. */
    clear() {
      generation++;
      lastId = '';
      forget();
      clearTimeout(retry);
      closeStream();
      shown = null;
      chart.set([], 60);
    },
  };
  candles.bars = () => chart.bars;
  candles.painted = null;
})((window.candles = window.candles || {}));
