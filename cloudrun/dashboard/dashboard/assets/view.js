/* What is in sight: the page's state, which is also its URL's, held together with the chart. */
import { queryOf, stateOf } from './address.js';
import { byId } from './dom.js';
import { DAY } from './format.js';

const SETTLE_MS = 300;
const MIN_BARS = 60; // in sight; with fewer, `auto` takes a shorter interval

/* `onChange()`: the state has changed; `onSymbol()`: it has another symbol, whose bars are loaded next;
   `onRestore()`: it is that of a link or of the browser's history. */
export function createView({ config, state, chart, store, onChange, onSymbol, onRestore = () => {} }) {
  let isMoving = false; // by the user, not by the page
  let settling = 0; // the timer

  /* `isStep`: the browser's way back leads to the state before. */
  function save(isStep) {
    const query = queryOf(state);
    if (query !== location.search) history[isStep ? 'pushState' : 'replaceState'](null, '', query);
    onChange();
  }

  function rest() {
    isMoving = false;
    clearTimeout(settling);
  }

  function load() {
    const { symbol, interval, from, to } = state;
    store.load(from ? { symbol, interval, from, to } : { symbol, interval, span: config.ranges[state.range] * DAY });
  }

  /* Loads the state as it is now; `before`: the symbol that was shown. */
  function begin(before) {
    rest();
    if (state.symbol !== before) {
      store.clear();
      onSymbol();
    }
    load();
  }

  /* Shows another symbol, interval or range. */
  function go(change) {
    const before = state.symbol;
    Object.assign(state, change);
    save(true);
    begin(before);
  }

  /* Shows the state of the URL, which the browser's back or forward has changed. */
  function restore() {
    const before = state.symbol;
    Object.assign(state, stateOf(location.search, config, state));
    chart.study(state.studies);
    chart.scale(state.scale);
    onChange();
    begin(before);
    onRestore();
  }

  /* The first and the last bar in sight, and the chart's range; null without any. */
  function inSight() {
    const range = chart.range();
    const bars = chart.bars;
    if (!range || !bars.length) return null;
    const at = (place) => bars[Math.min(bars.length - 1, Math.max(0, place))];
    return { first: at(Math.ceil(range.from)), last: at(Math.floor(range.to)), range };
  }

  /* The range of the state is kept until the view is moved: bars have a largest width, so more may be in sight than it. */
  function chooseInterval(interval) {
    const seen = inSight();
    if (seen && state.from && !isMoving && seen.last.time < state.to) return go({ interval });
    const isAtNewest = seen && store.isAttached && seen.range.to >= chart.bars.length - 1;
    const keeps = seen && (state.from || !isAtNewest);
    const range = keeps ? { from: seen.first.time, to: seen.last.time + store.shown.step } : { from: 0, to: 0 };
    go({ interval, ...range });
  }

  /* Shows the whole range that was chosen, in the interval in which it fits. */
  function chooseAll() {
    go({ interval: 'auto' });
  }

  function toNewest() {
    Object.assign(state, { from: 0, to: 0 });
    rest();
    save();
    if (store.isAttached) chart.toNewest();
    else load();
  }

  function toggleStudy(name) {
    if (!state.studies.delete(name)) state.studies.add(name);
    chart.study(state.studies);
    save();
  }

  /* Chooses a scale of prices; the one that is chosen gives way to the linear one. */
  function chooseScale(name) {
    state.scale = state.scale === name ? 'linear' : name;
    chart.scale(state.scale);
    save();
  }

  function moved(range) {
    if (!range) return;
    byId('newest').hidden = store.isAttached && range.to >= chart.bars.length - 1;
    clearTimeout(settling);
    settling = setTimeout(settle, SETTLE_MS);
  }

  /* The chart has come to rest: the URL takes what is in sight, and `auto` may need another interval. */
  function settle() {
    const seen = inSight();
    if (!seen || !isMoving) return;
    if (store.isBusy) return moved(seen.range);
    const { step } = store.shown;
    const { from, to } = seen.range;
    // Time goes on beyond the bars.
    state.from = Math.max(1, Math.round(seen.first.time + Math.min(0, Math.ceil(from)) * step));
    state.to = Math.round(seen.last.time + Math.max(0, Math.floor(to) - chart.bars.length + 1) * step + step);
    save();
    if (state.interval === 'auto' && isUnfit(to - from, step)) load();
  }

  /* True where another interval suits the view better. A gap makes its span longer, not its bars more. */
  function isUnfit(places, step) {
    const steps = Object.values(config.intervals);
    const isCrowded = places > config.maxBars && step < Math.max(...steps);
    const isSparse = (state.to - state.from) / step < MIN_BARS && step > Math.min(...steps);
    return isCrowded || isSparse;
  }

  return {
    load,
    save,
    go,
    restore,
    inSight,
    chooseInterval,
    chooseAll,
    toNewest,
    toggleStudy,
    get studies() {
      return state.studies;
    },
    chooseScale,
    moved,
    /* The user moves the chart from now on. */
    touch() {
      isMoving = true;
      store.touch();
    },
  };
}
