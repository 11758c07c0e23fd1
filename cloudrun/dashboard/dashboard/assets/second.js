/* The second chart, beside the first: another symbol, or the same one in another interval. In the first chart's interval
   it shows the same stretch of time, whichever of the two is moved; in another one it is moved by itself. The crosshair
   is in both. */
import { createCandleChart } from './chart.js';
import { byId, element } from './dom.js';
import { drawLegend } from './legend.js';
import { createBarStore } from './store.js';

const SAME = 'same'; // the first chart's interval
const WAIT_MS = 200;
const BARS = 300; // at first, in an interval of its own

/* `main`, `mainStore`: the first chart and its bars. `state`: the page's; its `second` is {symbol, interval}, or null
   while there is no second chart. `symbols()`: those on offer; `live()`: those with live candles.
   `onChange()`: the state has changed; `onPoint()`: the first chart's crosshair was moved by this one. */
export function createSecond({ config, state, main, mainStore, symbols, live, onChange, onPoint }) {
  let made = null; // {chart, store}, from the first opening on
  let waiting = 0; // the timer
  let requested = ''; // symbol and interval of the bars that were requested last
  let isMoved = false; // by the reader, who moved this chart last

  const isLinked = () =>
    made && made.store.shown && mainStore.shown && made.store.shown.interval === mainStore.shown.interval;
  const intervalOf = () => (state.second.interval === SAME ? mainStore.shown?.interval : state.second.interval);

  const key = () => `${state.second.symbol}.${intervalOf()}`;

  function drawOwnLegend() {
    drawLegend(made.chart, made.store, config.statuses, byId('second-legend'));
  }

  function touched() {
    isMoved = true;
    made.store.touch();
    if (isLinked()) mainStore.touch();
  }

  function build() {
    const chart = createCandleChart(byId('second-chart'), config.statuses);
    const store = createBarStore(chart);
    made = { chart, store };
    chart.study(state.studies);
    chart.scale(state.scale);
    Object.assign(store.on, {
      answer({ state: name, reason, isRefused }) {
        const texts = { empty: `No candles of ${state.second?.symbol} here`, failed: isRefused ? reason : 'The page retries' };
        byId('second-state').textContent = texts[name] ?? '';
        byId('second-state').hidden = !texts[name];
        if (name === 'ready') follow();
      },
      bars() {
        drawOwnLegend();
        compare();
      },
    });
    chart.onHover(() => {
      drawOwnLegend();
      main.pointTo(chart.hovered);
      onPoint();
    });
    chart.onRange(() => {
      drawOwnLegend();
      if (isMoved && isLinked() && chart.times) main.showTimes(chart.times);
    });
    for (const kind of ['wheel', 'pointerdown', 'touchstart']) {
      byId('second-chart').addEventListener(kind, touched, { passive: true, capture: true });
    }
    store.start();
  }

  function select(values, chosen, choose) {
    const box = element('select');
    for (const value of values) {
      const option = element('option', value === SAME ? 'same interval' : value);
      option.value = value;
      option.selected = value === chosen;
      box.append(option);
    }
    box.addEventListener('change', () => choose(box.value));
    return box;
  }

  function drawHead() {
    const { symbol, interval } = state.second;
    const known = [...new Set([...symbols(), symbol])].toSorted();
    const close = element('button', '×');
    close.id = 'unsplit';
    close.title = 'Close the second chart';
    byId('second-head').replaceChildren(
      select(known, symbol, (value) => go({ symbol: value })),
      select([SAME, ...Object.keys(config.intervals)], interval, (value) => go({ interval: value })),
      close,
    );
  }

  function load() {
    const [interval, times] = [intervalOf(), main.times];
    if (!interval || !times || mainStore.isBusy) {
      clearTimeout(waiting);
      waiting = setTimeout(follow, WAIT_MS); // the first chart's bars come first
      return;
    }
    const step = config.intervals[interval];
    const linked = interval === mainStore.shown.interval;
    const range =
      !linked || mainStore.isAttached
        ? { span: linked ? Math.max(step, times.to - times.from) : BARS * step }
        : { from: Math.max(1, times.from), to: times.to + step };
    requested = key();
    made.store.load({ symbol: state.second.symbol, interval, ...range });
  }

  function go(change) {
    const before = state.second.symbol;
    state.second = { ...state.second, ...change };
    if (state.second.symbol !== before) made.store.clear();
    onChange();
    drawHead();
    load();
  }

  /* Shows this chart as the state has it. */
  function draw() {
    byId('second').hidden = !state.second;
    if (!state.second) {
      made?.store.clear();
      requested = '';
      main.compare(null);
      return;
    }
    if (!made) build();
    drawHead();
    load();
  }

  /* The first chart was moved, or has other bars. */
  function follow() {
    if (!state.second || !made) return;
    if (requested !== key()) return load();
    if (isLinked() && !isMoved && main.times) made.chart.showTimes(main.times);
  }

  /* In percent, the other symbol's closes are a line in the first chart. */
  function compare() {
    const isCompared = state.second && state.scale === 'percent' && isLinked() && made.chart.bars.length;
    main.compare(isCompared ? made.chart.bars : null, state.second?.symbol);
  }

  return {
    draw,
    follow,
    compare,
    /* The reader moves the first chart from now on. */
    release() {
      isMoved = false;
      if (isLinked()) made.store.touch();
    },
    toggle() {
      state.second = state.second ? null : { symbol: otherThan(state.symbol, [...live(), ...symbols()]), interval: SAME };
      onChange();
      draw();
    },
    pointTo(time) {
      if (!state.second || !made) return;
      made.chart.pointTo(time);
      drawOwnLegend();
    },
    /* Calls `action` with the second chart where there is one. */
    each(action) {
      if (made) action(made.chart);
    },
    get store() {
      return made?.store;
    },
    get chart() {
      return made?.chart;
    },
  };
}

/* The first symbol that is another one; the same where there is no other. */
function otherThan(symbol, known) {
  return known.find((one) => one !== symbol) ?? symbol;
}
