/* The page: its state, which is the URL's, and what the user does. Dash calls `start` once its layout stands. */
(function (candles) {
  'use strict';
  const { data } = candles;
  const chart = window.candleChart;
  const $ = (id) => document.getElementById(id);
  const DAY = 86400;
  const END = 4102444800; // the API's own bound
  const SETTLE_MS = 300;
  const TYPING_MS = 1000;
  const FEWEST_BARS = 60; // in sight, else `auto` takes a shorter interval

  /* `from` and `to`: seconds, of what is in sight; 0: the `range` up to the newest. */
  const state = { symbol: 'BTCUSDT', interval: 'auto', range: '1D', from: 0, to: 0, studies: new Set(['vwap']) };
  let config = null;
  let symbols = [];
  let hasTouched = false; // what moves the chart is the user, not we
  let settling = 0;
  let sought = ''; // in the menu of symbols
  let typedAt = 0;

  /* The URL is the state, so that it can be sent to somebody. */
  function readUrl() {
    const query = new URLSearchParams(location.search);
    const among = (name, choices) => (Object.hasOwn(choices, query.get(name)) ? query.get(name) : null);
    const symbol = query.get('symbol') || '';
    if (/^[A-Z0-9-]{3,38}$/.test(symbol)) state.symbol = symbol;
    state.interval = among('interval', config.intervals) || 'auto';
    state.range = among('range', config.ranges) || '1D';
    const [from, to] = ['from', 'to'].map((name) => Math.floor(Number(query.get(name))) || 0);
    [state.from, state.to] = from > 0 && from < to && to <= END ? [from, to] : [0, 0];
    const studies = query.get('studies');
    if (studies === null) return;
    state.studies = new Set(studies.split(',').filter((name) => Object.hasOwn(config.studies, name)));
  }

  /* `isStep`: the browser's way back leads to what was before. */
  function writeUrl(isStep) {
    const range = state.from ? { from: state.from, to: state.to } : { range: state.range };
    const query = { symbol: state.symbol, interval: state.interval, ...range, studies: [...state.studies].join(',') };
    const url = `?${new URLSearchParams(query)}`.replaceAll('%2C', ',');
    if (url !== location.search) history[isStep ? 'pushState' : 'replaceState'](null, '', url);
    press();
  }

  const hasRoom = (range) =>
    state.interval === 'auto' || config.ranges[range] * DAY <= config.intervals[state.interval] * config.maxBars;

  /* The buttons show the state. */
  function press() {
    const isPressed = {
      interval: (name) => name === state.interval,
      range: (name) => !state.from && name === state.range && hasRoom(name),
      study: (name) => state.studies.has(name),
    };
    for (const [kind, test] of Object.entries(isPressed)) {
      for (const button of document.querySelectorAll(`[data-${kind}]`)) {
        button.setAttribute('aria-pressed', test(button.dataset[kind]));
      }
    }
    $('symbol').textContent = state.symbol;
  }

  function load() {
    const { symbol, interval, from, to } = state;
    data.load(from ? { symbol, interval, from, to } : { symbol, interval, span: config.ranges[state.range] * DAY });
  }

  /* Another symbol, interval or range. */
  function go(change) {
    const before = state.symbol;
    Object.assign(state, change);
    writeUrl(true);
    begin(before);
  }

  /* Show the state as it is now; `before`: the symbol that was shown. */
  function begin(before) {
    hasTouched = false;
    clearTimeout(settling);
    if (state.symbol !== before) {
      data.clear();
      candles.side.clear();
    }
    load();
  }

  /* The browser's back and forward. */
  function returned() {
    const before = state.symbol;
    readUrl();
    chart.study(state.studies);
    press();
    begin(before);
  }

  /* The bars in sight. */
  function inSight() {
    const range = chart.range();
    const bars = chart.bars;
    if (!range || !bars.length) return null;
    const at = (place) => bars[Math.min(bars.length - 1, Math.max(0, place))];
    return { first: at(Math.ceil(range.from)), last: at(Math.floor(range.to)), range };
  }

  function chooseInterval(interval) {
    const seen = inSight();
    const isAtNewest = seen && data.isAttached && seen.range.to >= chart.bars.length - 1;
    const keeps = seen && (state.from || !isAtNewest);
    go({ interval, ...(keeps ? { from: seen.first.time, to: seen.last.time + data.shown.step } : { from: 0, to: 0 }) });
  }

  function newest() {
    Object.assign(state, { from: 0, to: 0 });
    hasTouched = false;
    clearTimeout(settling);
    writeUrl();
    if (data.isAttached) chart.toNewest();
    else load();
  }

  function moved(range) {
    if (!range) return;
    $('newest').hidden = data.isAttached && range.to >= chart.bars.length - 1;
    clearTimeout(settling);
    settling = setTimeout(settled, SETTLE_MS);
  }

  /* The chart has come to rest: the URL tells where, and `auto` may want another interval. */
  function settled() {
    const seen = inSight();
    if (!seen || !hasTouched) return;
    if (data.isBusy) return moved(seen.range);
    const { step } = data.shown;
    const { from, to } = seen.range;
    // Beyond the bars there is time, too.
    state.from = Math.max(1, Math.round(seen.first.time + Math.min(0, Math.ceil(from)) * step));
    state.to = Math.round(seen.last.time + Math.max(0, Math.floor(to) - chart.bars.length + 1) * step + step);
    writeUrl();
    if (state.interval !== 'auto') return;
    const steps = Object.values(config.intervals);
    const place = steps.indexOf(step);
    // A gap makes the span longer, not the bars more.
    const isCrowded = to - from > config.maxBars && place < steps.length - 1;
    const isSparse = (state.to - state.from) / step < FEWEST_BARS && place > 0;
    if (isCrowded || isSparse) load();
  }

  function answered({ state: is, reason, isRefused, fault, age }) {
    $('chart').dataset.state = is;
    const words = {
      loading: chart.bars.length ? '' : 'loading',
      ready: '',
      empty: state.from ? 'No candles in this range' : `No candles of ${state.symbol} yet`,
      failed: isRefused ? reason : `The server does not answer as it should, it is asked again: ${reason}`,
    };
    $('state').textContent = is === 'empty' && fault ? 'No history now; live candles appear as they come' : words[is];
    $('state').hidden = !$('state').textContent;
    if (is === 'loading' || is === 'failed') return;
    const known = age === null ? 'not available' : `as of ${candles.format.age(age)} ago`;
    $('notice').textContent = fault ? `History: ${known}, it is asked again. (${fault})` : '';
    $('notice').hidden = !fault;
  }

  function download(kind) {
    const seen = inSight();
    if (!seen) return;
    const { symbol, interval, step } = data.shown;
    const query = { symbol, interval, start: seen.first.time, end: seen.last.time + step, format: kind };
    const link = candles.format.element('a');
    link.href = `/api/export?${new URLSearchParams(query)}`;
    link.download = '';
    document.body.append(link);
    link.click();
    link.remove();
  }

  function study(name) {
    if (!state.studies.delete(name)) state.studies.add(name);
    chart.study(state.studies);
    writeUrl();
  }

  function coverage() {
    candles.side.coverage(symbols, (symbol, day) => {
      $('coverage').close();
      go({ symbol, from: day, to: day + DAY, interval: 'auto' });
    });
  }

  function closeMenu() {
    if (!$('symbols')) return;
    const hadFocus = $('symbols').contains(document.activeElement);
    $('symbols').remove();
    $('symbol').setAttribute('aria-expanded', 'false');
    if (hadFocus) $('symbol').focus();
  }

  function chooseSymbol() {
    if ($('symbols')) return closeMenu();
    const menu = candles.format.element('div', undefined, 'menu');
    menu.id = 'symbols';
    menu.setAttribute('role', 'listbox');
    for (const symbol of symbols) {
      const option = candles.format.element('button', symbol);
      option.setAttribute('role', 'option');
      option.setAttribute('aria-selected', symbol === state.symbol);
      option.addEventListener('click', () => {
        closeMenu();
        go({ symbol, from: 0, to: 0 });
      });
      menu.append(option);
    }
    const box = $('symbol').getBoundingClientRect();
    Object.assign(menu.style, { left: `${box.left}px`, top: `${box.bottom + 4}px` });
    document.body.append(menu);
    $('symbol').setAttribute('aria-expanded', 'true');
    (menu.querySelector('[aria-selected=true]') || menu.firstElementChild)?.focus();
  }

  function setTheme(name) {
    document.documentElement.dataset.theme = name;
    if (chart.chart) chart.paint();
  }

  function switchTheme() {
    const name = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
    setTheme(name);
    try {
      localStorage.setItem('theme', name);
    } catch {
      // A private window forgets it.
    }
  }

  function chosenTheme() {
    let chosen = null;
    try {
      chosen = localStorage.getItem('theme');
    } catch {
      // A private window has none.
    }
    return chosen || (matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark');
  }

  const PRESSED = {
    symbol: chooseSymbol,
    newest,
    theme: switchTheme,
    'show-coverage': coverage,
    'close-coverage': () => $('coverage').close(),
  };

  function clicked(event) {
    if (!event.target.closest('#symbols, #symbol')) closeMenu();
    const button = event.target.closest('button');
    if (!button) return;
    const { interval, range, study: name, export: kind } = button.dataset;
    if (interval) chooseInterval(interval);
    else if (range) go({ range, from: 0, to: 0, interval: 'auto' });
    else if (name) study(name);
    else if (kind) download(kind);
    else PRESSED[button.id]?.();
  }

  const MOVES = {
    ArrowLeft: (far) => chart.pan(far ? -0.8 : -0.1),
    ArrowRight: (far) => chart.pan(far ? 0.8 : 0.1),
    '+': () => chart.zoom(0.8),
    '=': () => chart.zoom(0.8),
    '-': () => chart.zoom(1.25),
  };
  const KEYS = {
    ...MOVES,
    End: newest,
    '/': chooseSymbol,
    c: coverage,
    t: switchTheme,
  };

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || $('coverage').open) return;
    if ($('symbols')) return typedInMenu(event);
    if (!Object.hasOwn(KEYS, event.key)) return;
    event.preventDefault();
    if (Object.hasOwn(MOVES, event.key)) touched();
    KEYS[event.key](event.shiftKey);
  }

  function typedInMenu(event) {
    if (event.key === 'Escape' || event.key === 'Tab') return closeMenu();
    const options = [...$('symbols').children];
    const place = options.indexOf(document.activeElement);
    const near = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: options.length - 1 }[event.key];
    if (near !== undefined) {
      event.preventDefault();
      options[near]?.focus();
    } else if (/^[a-z0-9]$/i.test(event.key)) {
      find(options, event.key.toUpperCase());
    }
  }

  /* What is typed without a pause is how the symbol begins. */
  function find(options, letter) {
    sought = Date.now() - typedAt < TYPING_MS ? sought + letter : letter;
    typedAt = Date.now();
    options.find((option) => option.textContent.startsWith(sought))?.focus();
  }

  function touched() {
    hasTouched = true;
  }

  async function start(given) {
    config = given;
    setTheme(chosenTheme());
    readUrl();
    chart.build($('chart'));
    chart.study(state.studies);
    chart.onHover(candles.side.legend);
    chart.onRange(moved);
    candles.side.start(config.statuses);
    Object.assign(data.on, {
      answer: answered,
      bars() {
        candles.side.legend();
        candles.side.last();
      },
      connection: candles.side.connection,
      feed: candles.side.feed,
      reset: candles.side.reset,
      trades: candles.side.tape,
    });
    data.start();
    document.addEventListener('click', clicked);
    document.addEventListener('keydown', typed);
    window.addEventListener('popstate', returned);
    for (const kind of ['wheel', 'pointerdown', 'touchstart']) {
      $('chart').addEventListener(kind, touched, { passive: true, capture: true });
    }
    writeUrl();
    load();
    symbols = [state.symbol];
    const known = await data.get('/api/symbols', {}).catch(() => null);
    if (known) symbols = known.symbols;
  }

  candles.state = state;
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    candles: {
      start(given) {
        if (!config) start(given);
        return window.dash_clientside.no_update;
      },
    },
  });
})((window.candles = window.candles || {}));
