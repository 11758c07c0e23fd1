/* The page's life: its state in the URL, controls, history as one pans, the stream, tape, feed health, coverage. */
(function () {
  'use strict';
  const $ = (id) => document.getElementById(id), C = window.candleChart;
  const PAGE = 1000, HELD = 20000, DAY = 86400, TAPE_ROWS = 40, NEAR = 150;
  const state = { symbol: 'BTCUSDT', interval: 'auto', range: '1D', from: 0, to: 0, studies: new Set(['vwap']) };
  let config, shown = null, generation = 0, busy = false, beginning = false, attached = false, pending = [], source = null, lastId = '';
  let lastTrade = null, feed = {}, symbols = [], connected = false, painting = false, newestKnown = null, retry = 0;

  /* Numbers as people read them. */
  const number = (x, d) => (x === null || x === undefined ? '–' : x.toLocaleString('en-US', { minimumFractionDigits: d ?? 0, maximumFractionDigits: d ?? 9 }));
  const short = (x) => (x === null || x === undefined ? '–' : Math.abs(x) >= 1e4 ? Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 2 }).format(x) : number(+x.toPrecision(6)));
  const two = (n) => String(n).padStart(2, '0');
  const clock = (ms) => { const d = new Date(ms); return `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`; };
  const stamp = (s) => new Date(s * 1000).toISOString().slice(0, 16).replace('T', ' ');
  const element = (name, text, cls) => { const e = document.createElement(name); if (text !== undefined) e.textContent = text; if (cls) e.className = cls; return e; };

  /* The URL is the state: it can be sent to somebody. */
  function readUrl() {
    const q = new URLSearchParams(location.search), has = (name, among) => (q.has(name) && q.get(name) in among ? q.get(name) : null);
    if (/^[A-Z0-9-]{3,38}$/.test(q.get('symbol') || '')) state.symbol = q.get('symbol');
    state.interval = has('interval', config.intervals) || 'auto';
    state.range = has('range', config.ranges) || '1D';
    state.from = +q.get('from') || 0;
    state.to = +q.get('to') || 0;
    if (!(state.from < state.to && state.to < 4102444800)) state.from = state.to = 0;
    if (q.has('studies')) state.studies = new Set(q.get('studies').split(',').filter((name) => name in config.studies));
  }

  function writeUrl() {
    const q = new URLSearchParams({ symbol: state.symbol, interval: state.interval });
    if (state.from) { q.set('from', state.from); q.set('to', state.to); } else q.set('range', state.range);
    q.set('studies', [...state.studies].join(','));
    const url = '?' + q.toString().replaceAll('%2C', ',');
    if (url !== location.search) history.replaceState(null, '', url);
  }

  function press() {
    for (const [kind, is] of [['interval', (v) => v === state.interval], ['range', (v) => !state.from && v === state.range], ['study', (v) => state.studies.has(v)]]) {
      for (const b of document.querySelectorAll(`[data-${kind}]`)) b.setAttribute('aria-pressed', is(b.dataset[kind]));
    }
    $('symbol').textContent = state.symbol;
    document.title = (lastTrade ? number(lastTrade.price) + ' ' : '') + state.symbol;
  }

  /* Bars from the server. */
  async function get(path, query) {
    const answer = await fetch(`${path}?${new URLSearchParams(query)}`);
    const content = await answer.json().catch(() => ({ error: `the server answers ${answer.status}` }));
    if (!answer.ok) throw new Error(content.error);
    return content;
  }

  function unpack(b) {
    return b.t.map((t, i) => ({ time: t, open: b.open[i], high: b.high[i], low: b.low[i], close: b.close[i], volume: b.volume[i], turnover: b.turnover[i], count: b.trade_count[i], bought: b.buy_volume[i], boughtTurnover: b.buy_turnover[i], doubt: b.doubt[i], source: b.source[i] }));
  }

  const say = (text) => { $('state').textContent = text; $('state').hidden = !text; };

  function notice(view) {
    const text = view.fault ? `History: ${view.age_s === null ? 'not available' : `as of ${age(view.age_s)} ago`}, it is asked again. (${view.fault})` : '';
    $('notice').textContent = text;
    $('notice').hidden = !text;
    clearTimeout(retry);
    if (view.fault) retry = setTimeout(() => (C.bars.length && view.age_s !== null ? refresh() : load()), 11000);
  }

  const age = (s) => (s < 90 ? `${s} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`);

  async function load() {
    const mine = ++generation;
    beginning = false; busy = true; attached = false; pending = [];
    if (!C.bars.length) say('loading');
    $('chart').dataset.state = 'loading';
    try {
      const query = { symbol: state.symbol, interval: state.interval };
      if (state.from) Object.assign(query, { start: state.from, end: state.to });
      else Object.assign(query, { span: config.ranges[state.range] * DAY, slide: 1 });
      const view = await get('/api/candles', query);
      if (mine !== generation) return;
      const before = shown;
      shown = { symbol: view.symbol, interval: view.interval, step: view.step };
      newestKnown = view.newest;
      const list = unpack(view.bars);
      C.set(list, view.step);
      notice(view);
      say(list.length ? '' : view.fault ? 'No history now; live candles appear as they come' : state.from ? 'No candles in this range' : `No candles of ${state.symbol} yet`);
      attached = newestKnown === null ? !state.from : !list.length ? !state.from : list[list.length - 1].time >= newestKnown - (newestKnown % view.step);
      if (list.length) C.show(-0.5, list.length + Math.min(6, list.length / 10));
      flush();
      legend();
      $('chart').dataset.state = list.length ? 'ready' : 'empty';
      if (!before || before.symbol !== shown.symbol || before.interval !== shown.interval || !source) open();
    } catch (error) {
      if (mine !== generation) return;
      say(`The server does not answer as it should: ${error.message}`);
      $('chart').dataset.state = 'failed';
      retry = setTimeout(load, 3000);
    } finally {
      if (mine === generation) busy = false;
      press();
    }
  }

  /* What is shown, again, without moving it: after a reconnect, or when history is back. */
  async function refresh() {
    const mine = generation, bars = C.bars;
    if (!bars.length) return load();
    const r = C.range(), from = Math.max(0, Math.floor(r ? r.from : 0)), start = bars[Math.min(from, bars.length - 1)].time;
    const view = await get('/api/candles', { symbol: shown.symbol, interval: shown.interval, start, end: attached ? 4102444800 : bars[bars.length - 1].time + shown.step }).catch((error) => ({ error }));
    if (mine !== generation || view.error) return;
    newestKnown = view.newest;
    notice(view);
    const fresh = unpack(view.bars);
    if (fresh.length) C.extend(C.bars.filter((bar) => bar.time < fresh[0].time).concat(fresh), 0, attached);
    flush();
    legend();
  }

  async function older() {
    if (busy || beginning || !C.bars.length) return;
    busy = true;
    const mine = generation, first = C.bars[0].time, began = performance.now();
    try {
      const view = await get('/api/candles', { symbol: shown.symbol, interval: shown.interval, start: Math.max(0, first - PAGE * shown.step), end: first, slide: 1 });
      if (mine !== generation) return;
      notice(view);
      const more = unpack(view.bars).filter((bar) => bar.time < first);
      if (!more.length) { beginning = !view.fault; return; }
      let list = more.concat(C.bars);
      if (list.length > HELD) { list = list.slice(0, HELD); attached = false; }
      C.extend(list, more.length);
      window.candles.pans.push(performance.now() - began);
    } catch (error) { console.info('older history', error.message); beginning = true; setTimeout(() => { beginning = false; }, 5000); } finally { if (mine === generation) { busy = false; if (!beginning) moved(C.range()); } }
  }

  async function newer() {
    if (busy || attached || !C.bars.length) return;
    busy = true;
    const mine = generation, last = C.bars[C.bars.length - 1].time, start = last + shown.step;
    try {
      let view = await get('/api/candles', { symbol: shown.symbol, interval: shown.interval, start, end: start + PAGE * shown.step });
      if (!view.bars.t.length && newestKnown > start) view = await get('/api/candles', { symbol: shown.symbol, interval: shown.interval, start: Math.max(start, newestKnown - PAGE * shown.step), end: newestKnown + 60 });
      if (mine !== generation) return;
      newestKnown = view.newest;
      const more = unpack(view.bars).filter((bar) => bar.time > last);
      let list = C.bars.concat(more), dropped = 0;
      if (list.length > HELD) { dropped = list.length - HELD; list = list.slice(dropped); beginning = false; }
      if (more.length) C.extend(list, -dropped);
      const end = list[list.length - 1].time;
      attached = newestKnown !== null && end >= newestKnown - (newestKnown % shown.step);
      flush();
    } catch (error) { console.info('newer history', error.message); } finally { if (mine === generation) busy = false; }
  }

  /* Zoom and pan: more history, another level of detail, the range in the URL. */
  let settle = 0;
  function moved(r) {
    if (!r || !shown || !C.bars.length) return;
    const count = C.bars.length;
    const near = Math.max(NEAR, r.to - r.from);
    if (r.from < near) older();
    if (r.to > count - near) newer();
    $('newest').hidden = attached && r.to >= count - 1;
    clearTimeout(settle);
    settle = setTimeout(settled, 300);
  }

  function settled() {
    const r = C.range(), bars = C.bars;
    if (!r || !bars.length || busy) return;
    const at = (i) => (i < 0 ? bars[0].time + Math.ceil(i) * shown.step : i > bars.length - 1 ? bars[bars.length - 1].time + Math.floor(i - bars.length + 1) * shown.step : bars[Math.round(i)].time);
    const from = Math.max(1, Math.round(at(r.from))), to = Math.max(from + shown.step, Math.round(at(r.to)) + shown.step);
    if (touched) {
      state.from = from; state.to = to;
      if (state.interval === 'auto') {
        const steps = Object.values(config.intervals), visible = (to - from) / shown.step, i = steps.indexOf(shown.step);
        const other = visible > config.maxBars ? steps[i + 1] : visible < 60 && i > 0 ? steps[i - 1] : 0;
        if (other) { writeUrl(); return load(); }
      }
      writeUrl();
      press();
    }
  }
  let touched = false;

  /* The stream: bars, trades, the feed's state. Its first event may say: load what you show, then apply what follows. */
  function open() {
    close();
    if (document.hidden || !shown) return;
    const query = new URLSearchParams({ symbol: shown.symbol, interval: shown.interval, after: lastId });
    source = new EventSource('/api/stream?' + query);
    source.onopen = () => { connected = true; health(); };
    source.onerror = () => { connected = false; health(); if (source && source.readyState === 2) { source = null; setTimeout(() => { if (!source) open(); }, 2000); } };
    source.onmessage = (event) => {
      if (event.lastEventId) lastId = event.lastEventId;
      const m = JSON.parse(event.data);
      if (m.bar) { pending.push(m.bar); paint(); }
      else if (m.trades) { tape(m.trades); }
      else if (m.state) { feed = m.state; health(); }
      else if (m.changed !== undefined) amend(m.changed);
      else if (m.reset && C.bars.length) refresh();
    };
  }

  function close() {
    if (source) { source.close(); source = null; }
    connected = false;
  }

  /* However many events come between two frames, one drawing. */
  function paint() {
    if (painting) return;
    painting = true;
    requestAnimationFrame(() => { painting = false; flush(); legend(); });
  }

  function flush() {
    const list = pending;
    pending = [];
    for (const b of list) {
      const bar = { time: b[0], open: b[1], high: b[2], low: b[3], close: b[4], volume: b[5], turnover: b[6], count: b[7], bought: b[8], boughtTurnover: b[9], doubt: b[10], source: b[11] };
      newestKnown = Math.max(newestKnown || 0, bar.time);
      if (!attached) { if (!busy && !C.bars.length && !state.from) return load(); continue; }
      const last = C.bars[C.bars.length - 1];
      if (!last && !state.from) { say(''); C.set([bar], shown.step); $('chart').dataset.state = 'ready'; }
      else if (bar.time >= last.time) C.put(bar);
      else C.amend(bar);
      window.candles.painted = b[12];
    }
  }

  async function amend(time) {
    const view = await get('/api/candles', { symbol: shown.symbol, interval: shown.interval, start: time, end: time + shown.step }).catch(() => null);
    if (view && view.step === C.step) unpack(view.bars).forEach((bar) => C.amend(bar));
  }

  /* The side: tape and feed. */
  function tape(rows) {
    const box = $('tape');
    for (const [time, price, size, bought] of rows) {
      const row = box.children.length >= TAPE_ROWS ? box.lastElementChild : element('div', undefined, 'row');
      row.replaceChildren(element('span', clock(time)), element('span', number(price, C.digits)), element('span', number(size)));
      row.className = 'row ' + (bought ? 'up' : 'down');
      box.prepend(row);
      if (!lastTrade || time >= lastTrade.time) lastTrade = { time, price, up: bought };
    }
    last();
  }

  function last() {
    const bar = C.bars[C.bars.length - 1], price = lastTrade ? lastTrade.price : attached && bar ? bar.close : null;
    if (price === null) return;
    $('last').textContent = number(price, C.digits);
    $('last').className = lastTrade ? (lastTrade.up ? 'up' : 'down') : '';
    const day = feed.day;
    if (day) {
      const change = price - day.open, hours = (newestKnown - day.since) / 3600;
      $('change').textContent = `${change >= 0 ? '+' : ''}${((100 * change) / day.open).toFixed(2)} %`;
      $('change').className = change >= 0 ? 'up' : 'down';
      $('day').textContent = `${hours > 23.9 ? '24 h' : 'since ' + stamp(day.since).slice(11)}  H ${number(day.high, C.digits)}  L ${number(day.low, C.digits)}  V ${short(day.volume)}  Δ ${short(day.delta)}`;
    }
    document.title = number(price) + ' ' + state.symbol;
  }

  function health() {
    const f = feed, box = $('feed'), rows = [];
    const bad = !connected ? 'reconnecting' : f.postgres ? `live data ${age(f.postgres)} old` : f.silent ? `feed silent for ${age(f.silent)}` : '';
    box.textContent = bad || (f.proven ? `live · ${number(f.lag)} ms` : 'live');
    box.className = 'feed ' + (!connected ? 'wait' : bad ? 'bad' : f.gaps ? 'warn' : 'ok');
    rows.push(['Connection', connected ? 'open' : 'lost, reconnecting']);
    rows.push(['Live candles', f.postgres ? `Postgres does not answer since ${age(f.postgres)}` : 'from Postgres']);
    rows.push(['Tape', f.tape ? f.tape : 'from the topic']);
    if (f.proven) rows.push(['Proven until', clock(f.proven) + ' UTC'], ['Lag', `${number(f.lag)} ms`], ['Last trade', lastTrade ? clock(lastTrade.time) + ' UTC' : '–'], ['Open gaps', number(f.gaps)], ['Reconnects', number(f.reconnects)]);
    $('health').replaceChildren(...rows.flatMap(([k, v]) => [element('dt', k), element('dd', v)]));
    last();
  }

  function legend() {
    const bar = C.hovered || C.bars[C.bars.length - 1], box = $('legend');
    if (!bar || !shown) { box.replaceChildren(); return; }
    const d = C.digits, change = bar.close - bar.open, cls = change >= 0 ? 'up' : 'down', parts = [];
    const add = (k, v, c) => parts.push(element('span', k, 'key'), element('b', v, c || ''));
    parts.push(element('strong', shown.symbol), element('span', shown.interval, 'key'), element('span', stamp(bar.time) + ' UTC', 'key'));
    add('O', number(bar.open, d), cls); add('H', number(bar.high, d), cls); add('L', number(bar.low, d), cls); add('C', number(bar.close, d), cls);
    parts.push(element('b', `${change >= 0 ? '+' : ''}${((100 * change) / bar.open).toFixed(2)} %`, cls));
    add('Volume', short(bar.volume)); add('Turnover', short(bar.turnover)); add('VWAP', bar.volume ? number(bar.turnover / bar.volume, d) : '–');
    add('Trades', number(bar.count)); add('Delta', bar.bought === null ? '–' : short(2 * bar.bought - bar.volume), bar.bought === null ? '' : 2 * bar.bought >= bar.volume ? 'up' : 'down');
    parts.push(element('b', config.statuses[bar.doubt], 'status ' + config.statuses[bar.doubt]), element('span', bar.source, 'key'));
    box.replaceChildren(...parts);
  }

  /* Coverage: a year a row of weeks, newest first. */
  async function coverage() {
    $('coverage').showModal();
    const box = $('calendar');
    box.replaceChildren(element('p', 'loading'));
    let list;
    try { list = await Promise.all(symbols.map((symbol) => get('/api/coverage', { symbol }))); } catch (error) { box.replaceChildren(element('p', error.message)); return; }
    box.replaceChildren();
    for (const { symbol, days, fault, age_s } of list) {
      box.append(element('h3', symbol + (fault ? ` (${age_s === null ? 'not known now' : age(age_s) + ' old'}: ${fault})` : '')));
      if (!Object.keys(days).length) { box.append(element('p', 'no day is loaded')); continue; }
      const years = new Map();
      for (const [day, item] of Object.entries(days)) { const y = day.slice(0, 4); if (!years.has(y)) years.set(y, []); years.get(y).push([day, item]); }
      for (const [year, items] of [...years].reverse()) {
        const grid = element('div', undefined, 'year');
        for (const [day, item] of items) {
          const cell = element('button', undefined, 'day ' + item.state), date = new Date(day + 'T00:00Z'), first = new Date(year + '-01-01T00:00Z');
          const offset = Math.round((date - first) / 864e5) + ((first.getUTCDay() + 6) % 7);
          cell.style.gridColumn = Math.floor(offset / 7) + 1;
          cell.style.gridRow = (offset % 7) + 1;
          cell.title = `${day}: ${item.state}${item.reason ? ', ' + item.reason : ''}${item.quarantined ? `, ${item.quarantined} rows quarantined` : ''}`;
          cell.setAttribute('aria-label', cell.title);
          cell.onclick = () => { $('coverage').close(); go({ symbol, from: Date.parse(day + 'T00:00Z') / 1000, to: Date.parse(day + 'T00:00Z') / 1000 + DAY, interval: 'auto' }); };
          grid.append(cell);
        }
        box.append(element('h4', year), grid);
      }
    }
    $('keys').replaceChildren(...['loaded', 'live', 'no_trades', 'failed', 'missing'].flatMap((name) => { const key = element('span', name.replace('_', ' ')); key.prepend(element('i', undefined, 'day ' + name)); return [key]; }));
  }

  function choose() {
    const old = $('symbols');
    if (old) { old.remove(); return; }
    const list = element('div', undefined, 'menu');
    list.id = 'symbols';
    list.setAttribute('role', 'listbox');
    for (const symbol of symbols) {
      const item = element('button', symbol);
      item.setAttribute('role', 'option');
      item.setAttribute('aria-selected', symbol === state.symbol);
      item.onclick = () => { list.remove(); go({ symbol, from: 0, to: 0 }); };
      list.append(item);
    }
    const box = $('symbol').getBoundingClientRect();
    list.style.left = box.left + 'px';
    list.style.top = box.bottom + 4 + 'px';
    document.body.append(list);
    (list.querySelector('[aria-selected=true]') || list.firstChild)?.focus();
  }

  function go(change) {
    const other = change.symbol && change.symbol !== state.symbol;
    Object.assign(state, change);
    touched = false;
    if (other) { lastTrade = null; feed = {}; lastId = ''; C.set([], C.step); $('tape').replaceChildren(); for (const id of ['last', 'change', 'day']) $(id).textContent = ''; }
    lastId = '';
    writeUrl(); press(); load();
  }

  function keep() {
    const r = C.range(), bars = C.bars;
    if (!r || !bars.length || attached && r.to >= bars.length - 1) return {};
    const a = bars[Math.max(0, Math.floor(r.from))], b = bars[Math.min(bars.length - 1, Math.ceil(r.to))];
    return a && b ? { from: a.time, to: b.time + shown.step } : {};
  }

  function download(kind) {
    const r = C.range(), bars = C.bars;
    if (!bars.length || !r) return;
    const a = bars[Math.min(bars.length - 1, Math.max(0, Math.ceil(r.from)))], b = bars[Math.max(0, Math.min(bars.length - 1, Math.floor(r.to)))];
    const link = element('a');
    link.href = '/api/export?' + new URLSearchParams({ symbol: shown.symbol, interval: shown.interval, start: a.time, end: b.time + shown.step, format: kind });
    link.download = '';
    document.body.append(link);
    link.click();
    link.remove();
  }

  function theme(name) {
    document.documentElement.dataset.theme = name;
    try { localStorage.setItem('theme', name); } catch { /* private window */ }
    if (C.chart) C.paint();
  }

  function wire() {
    document.addEventListener('click', (event) => {
      const b = event.target.closest('button');
      if ($('symbols') && !event.target.closest('#symbols, #symbol')) $('symbols').remove();
      if (!b) return;
      if (b.dataset.interval) go({ interval: b.dataset.interval, ...(state.from || state.interval === 'auto' ? keep() : {}), ...(b.dataset.interval !== 'auto' && !keep().from ? { from: 0, to: 0 } : {}) });
      else if (b.dataset.range) go({ range: b.dataset.range, from: 0, to: 0, interval: 'auto' });
      else if (b.dataset.study) { const s = b.dataset.study; if (!state.studies.delete(s)) state.studies.add(s); C.study(state.studies); writeUrl(); press(); }
      else if (b.dataset.export) download(b.dataset.export);
      else if (b.id === 'symbol') choose();
      else if (b.id === 'show-coverage') coverage();
      else if (b.id === 'close-coverage') $('coverage').close();
      else if (b.id === 'theme') theme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');
      else if (b.id === 'newest') newest();
    });
    document.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || $('coverage').open || /^(INPUT|TEXTAREA)$/.test(event.target.tagName)) return;
      if (event.key === 'Escape' && $('symbols')) { $('symbols').remove(); return; }
      if ($('symbols')) {
        const to = event.key === 'ArrowDown' ? 'nextElementSibling' : event.key === 'ArrowUp' ? 'previousElementSibling' : '';
        if (to) { event.preventDefault(); document.activeElement[to]?.focus(); }
        return;
      }
      const step = event.shiftKey ? 0.8 : 0.1;
      const act = { ArrowLeft: () => C.pan(-step), ArrowRight: () => C.pan(step), '+': () => C.zoom(0.8), '=': () => C.zoom(0.8), '-': () => C.zoom(1.25), End: newest, '/': choose, c: coverage, t: () => $('theme').click() }[event.key];
      if (!act) return;
      event.preventDefault();
      touched = true;
      act();
    });
    for (const kind of ['wheel', 'pointerdown', 'touchstart']) $('chart').addEventListener(kind, () => { touched = true; }, { passive: true, capture: true });
    /* A tab in the background costs nothing. */
    document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
    window.addEventListener('popstate', () => { readUrl(); load(); });
  }

  function newest() {
    state.from = state.to = 0;
    touched = false;
    clearTimeout(settle);
    writeUrl(); press();
    if (attached) C.toNewest(); else load();
  }

  async function start(given) {
    config = given;
    let chosen = null;
    try { chosen = localStorage.getItem('theme'); } catch { /* private window */ }
    document.documentElement.dataset.theme = chosen || (matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark');
    readUrl();
    C.build($('chart'));
    C.study(state.studies);
    C.onHover(legend);
    C.onRange(moved);
    wire();
    press();
    load();
    try { symbols = (await get('/api/symbols', {})).symbols; } catch { symbols = [state.symbol]; }
    window.candles.symbols = symbols;
  }

  window.candles = { state, pans: [], painted: 0, bars: () => C.bars, stream: () => source, attached: () => attached };
  window.dash_clientside = Object.assign({}, window.dash_clientside, { candles: { start: (given) => { if (!config) start(given); return window.dash_clientside.no_update; } } });
})();
