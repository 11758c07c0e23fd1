/* The page's entry: its parts, put together. Dash calls `start` once its layout stands. */
import { defaultState, stateOf } from './address.js';
import { get } from './api.js';
import { openCalendar } from './calendar.js';
import { createCandleChart } from './chart.js';
import { listen, pressButtons } from './controls.js';
import { byId } from './dom.js';
import { createFeedStatus } from './feed.js';
import * as format from './format.js';
import { drawLegend } from './legend.js';
import { createMeasure } from './measure.js';
import { createSymbolMenu } from './menu.js';
import { clearPrice, drawPrice } from './price.js';
import { createSecond } from './second.js';
import { createBarStore } from './store.js';
import { applyTheme } from './theme.js';
import { createTradeList } from './trades.js';
import { createView } from './view.js';
import { applyZone } from './zone.js';

const { DAY } = format;

/* Shows what became of a load: {state, reason, isRefused, fault, age, isCut} as the store reports it. */
function showAnswer({ state, reason, isRefused, fault, age, isCut }, { symbol, from, range, interval }, hasBars) {
  byId('chart').dataset.state = state;
  const texts = {
    loading: hasBars ? '' : 'loading',
    ready: '',
    empty: from ? 'No candles in this range' : `No candles of ${symbol} yet`,
    failed: isRefused ? reason : `The server does not answer as it should; the page retries: ${reason}`,
  };
  const hasNoHistory = state === 'empty' && fault;
  byId('state').textContent = hasNoHistory ? 'No history now; live candles appear as they come' : texts[state];
  byId('state').hidden = !byId('state').textContent;
  if (state === 'loading' || state === 'failed') return;
  const known = age === null ? 'not available' : `as of ${format.age(age)} ago`;
  byId('hint').textContent = isCut ? `Only the newest bars of ${range} fit in ${interval}. Show all in longer bars` : '';
  byId('hint').hidden = !isCut;
  byId('notice').textContent = fault ? `History: ${known}; the page retries. (${fault})` : '';
  byId('notice').hidden = !fault;
}

/* Starts the page. `config`: as `page.config` on the server makes it. */
export function start(config) {
  const state = defaultState(config); // one object for as long as the page lives
  Object.assign(state, stateOf(location.search, config, state));
  let symbols = [state.symbol];
  let live = []; // those of them that are traded now

  applyTheme();
  applyZone();
  const chart = createCandleChart(byId('chart'), config.statuses);
  chart.study(state.studies);
  chart.scale(state.scale);
  const store = createBarStore(chart);
  const trades = createTradeList(chart, chart.mark);
  const feed = createFeedStatus();

  const showLegend = () => drawLegend(chart, store, config.statuses);
  const showPrice = () =>
    drawPrice({ chart, store, symbol: state.symbol, lastTrade: trades.last, day: feed.state.day });

  function showFeed() {
    feed.draw(trades.last);
    showPrice();
  }

  let second = null;
  const view = createView({
    config,
    state,
    chart,
    store,
    onChange: () => {
      pressButtons(state, config);
      second?.compare();
      second?.each((other) => other.scale(state.scale));
    },
    onRestore: () => second.draw(),
    onSymbol() {
      trades.clear();
      feed.state = {};
      clearPrice(state.symbol);
    },
  });
  second = createSecond({
    config,
    state,
    main: chart,
    mainStore: store,
    symbols: () => symbols,
    live: () => live,
    onChange: () => view.save(),
    onPoint: showLegend,
  });
  const measure = createMeasure({
    chart,
    units: () => store.shown.units,
    onSwitch: (isOn) => byId('measure').setAttribute('aria-pressed', isOn),
  });

  function repaint() {
    chart.paint();
    second.each((other) => other.paint());
    trades.draw();
    showLegend();
    showFeed();
  }

  const menu = createSymbolMenu({
    symbols: () => symbols,
    chosen: () => state.symbol,
    choose: (symbol) => view.go({ symbol, from: 0, to: 0 }),
  });

  function openCoverage() {
    openCalendar({
      symbols,
      chosen: state.symbol,
      states: config.dayStates,
      open(symbol, day) {
        byId('coverage').close();
        view.go({ symbol, from: day, to: day + DAY, interval: 'auto' });
      },
    });
  }

  Object.assign(store.on, {
    answer: (answer) => showAnswer(answer, { ...state, range: state.from ? 'this link' : state.range }, chart.bars.length > 0),
    bars() {
      showLegend();
      showPrice();
      second.follow();
      second.compare();
    },
    connection(isOpen) {
      feed.connect(isOpen);
      showFeed();
    },
    feed(given) {
      feed.state = given;
      showFeed();
    },
    reset: trades.reset,
    trades(rows) {
      trades.add(rows);
      showFeed();
    },
  });
  chart.onHover(() => {
    showLegend();
    second.pointTo(chart.hovered);
  });
  chart.onRange((range) => {
    view.moved(range);
    showLegend();
    second.follow();
  });
  showFeed();
  store.start();
  listen({ view, chart, store, menu, trades, second, measure, openCoverage, repaint });
  view.save();
  view.load();
  second.draw();
  get('/api/symbols', {}).then(
    (known) => ({ symbols, live } = known),
    (error) => console.info('symbols:', error.message),
  );
  // The page's parts, for the browser's console, the tests and the benchmarks.
  window.candles = { chart, store, state, format, second, painted: null };
}
