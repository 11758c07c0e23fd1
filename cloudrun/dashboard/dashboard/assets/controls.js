/* The page's buttons and keys. */
import { byId, element } from './dom.js';
import { DAY } from './format.js';
import { switchTheme } from './theme.js';
import { switchZone } from './zone.js';

/* Marks the buttons that the state has pressed. A range too long for the chosen interval is not marked. */
export function pressButtons(state, config) {
  const hasRoom = (range) =>
    state.interval === 'auto' || config.ranges[range] * DAY <= config.intervals[state.interval] * config.maxBars;
  const isPressed = {
    interval: (name) => name === state.interval,
    range: (name) => !state.from && name === state.range && hasRoom(name),
    study: (name) => state.studies.has(name),
    scale: (name) => state.scale === name,
  };
  for (const [kind, test] of Object.entries(isPressed)) {
    for (const button of document.querySelectorAll(`[data-${kind}]`)) {
      button.setAttribute('aria-pressed', test(button.dataset[kind]));
    }
  }
  byId('symbol').textContent = state.symbol;
  byId('split').setAttribute('aria-pressed', Boolean(state.second));
}

/* Downloads the bars in sight; `kind`: csv or parquet. */
function download(kind, view, store) {
  const seen = view.inSight();
  if (!seen) return;
  const { symbol, interval, step } = store.shown;
  const query = { symbol, interval, start: seen.first.time, end: seen.last.time + step, format: kind };
  const link = element('a');
  link.href = `/api/export?${new URLSearchParams(query)}`;
  link.download = '';
  document.body.append(link);
  link.click();
  link.remove();
}

/* Listens to clicks, keys and touches. `openCoverage()`: opens the coverage calendar; `repaint()`: writes all texts and
   colours anew. */
export function listen({ view, chart, store, menu, trades, second, measure, openCoverage, repaint }) {
  function changeTheme() {
    switchTheme();
    repaint();
  }

  function changeZone() {
    switchZone();
    repaint();
  }

  const toggleMeasure = () => measure.turn(!measure.isOn);

  const actions = {
    symbol: menu.toggle,
    newest: view.toNewest,
    hint: () => view.chooseAll(),
    theme: changeTheme,
    zone: changeZone,
    measure: toggleMeasure,
    split: second.toggle,
    unsplit: second.toggle,
    pause: trades.pause,
    'show-coverage': openCoverage,
    'close-coverage': () => byId('coverage').close(),
  };
  const moves = {
    ArrowLeft: (isFar) => chart.pan(isFar ? -0.8 : -0.1),
    ArrowRight: (isFar) => chart.pan(isFar ? 0.8 : 0.1),
    '+': () => chart.zoom(0.8),
    '=': () => chart.zoom(0.8),
    '-': () => chart.zoom(1.25),
  };
  const keys = { ...moves, End: view.toNewest, '/': menu.toggle, c: openCoverage, t: changeTheme, m: toggleMeasure, z: changeZone };

  function clicked(event) {
    if (!event.target.closest('#symbols, #symbol')) menu.close();
    if (!event.target.closest('#second')) second.release();
    const button = event.target.closest('button');
    if (!button) return;
    const { interval, range, study, scale, export: kind } = button.dataset;
    if (interval) view.chooseInterval(interval);
    else if (range) view.go({ range, from: 0, to: 0, interval: 'auto' });
    else if (study) {
      view.toggleStudy(study);
      second.each((other) => other.study(view.studies));
    } else if (scale) view.chooseScale(scale);
    else if (kind) download(kind, view, store);
    else actions[button.id]?.();
  }

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId('coverage').open) return;
    if (menu.isOpen) return menu.press(event);
    if (event.target?.matches?.('input, select')) return;
    if (event.key === 'Escape' && measure.isOn) return toggleMeasure();
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    if (Object.hasOwn(moves, event.key)) touched();
    keys[event.key](event.shiftKey);
  }

  function touched() {
    second.release();
    view.touch();
  }

  const sizeIn = (id) => Math.max(0, Number(byId(id).value) || 0);
  byId('least').addEventListener('input', () => trades.filter(sizeIn('least')));
  byId('big-from').addEventListener('input', () => trades.bigFrom(sizeIn('big-from')));
  document.addEventListener('click', clicked);
  document.addEventListener('keydown', typed);
  window.addEventListener('popstate', view.restore);
  for (const kind of ['wheel', 'pointerdown', 'touchstart']) {
    byId('chart').addEventListener(kind, touched, { passive: true, capture: true });
  }
}
