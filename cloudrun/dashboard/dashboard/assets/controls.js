/* The page's buttons and keys. */
import { byId, element } from './dom.js';
import { DAY } from './format.js';
import { switchTheme } from './theme.js';

/* Marks the buttons that the state has pressed. A range too long for the chosen interval is not marked. */
export function pressButtons(state, config) {
  const hasRoom = (range) =>
    state.interval === 'auto' || config.ranges[range] * DAY <= config.intervals[state.interval] * config.maxBars;
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
  byId('symbol').textContent = state.symbol;
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

/* Listens to clicks, keys and touches. `openCoverage()`: opens the coverage calendar. */
export function listen({ view, chart, store, menu, openCoverage }) {
  function changeTheme() {
    switchTheme();
    chart.paint();
  }

  const actions = {
    symbol: menu.toggle,
    newest: view.toNewest,
    theme: changeTheme,
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
  const keys = { ...moves, End: view.toNewest, '/': menu.toggle, c: openCoverage, t: changeTheme };

  function clicked(event) {
    if (!event.target.closest('#symbols, #symbol')) menu.close();
    const button = event.target.closest('button');
    if (!button) return;
    const { interval, range, study, export: kind } = button.dataset;
    if (interval) view.chooseInterval(interval);
    else if (range) view.go({ range, from: 0, to: 0, interval: 'auto' });
    else if (study) view.toggleStudy(study);
    else if (kind) download(kind, view, store);
    else actions[button.id]?.();
  }

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId('coverage').open) return;
    if (menu.isOpen) return menu.press(event);
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    if (Object.hasOwn(moves, event.key)) view.touch();
    keys[event.key](event.shiftKey);
  }

  document.addEventListener('click', clicked);
  document.addEventListener('keydown', typed);
  window.addEventListener('popstate', view.restore);
  for (const kind of ['wheel', 'pointerdown', 'touchstart']) {
    byId('chart').addEventListener(kind, view.touch, { passive: true, capture: true });
  }
}
