/* The browser of the dashboard's modules in node: clock, network, document and chart library are fakes that the tests
   control. They keep the semantics of what they replace: a range that is set shows with the next frame, a series
   refuses points out of order, the server answers with the newest bars of a span. */
import { readFileSync } from 'node:fs';

const DAY = 86400;
const FRAME_MS = 16;
const RealDate = Date;

/* What the server's `page.config` returns; a test of the server holds the file to it. */
export const CONFIG = JSON.parse(readFileSync(new URL('page_config.json', import.meta.url), 'utf8'));
export const INTERVALS = CONFIG.intervals;
const MAX_BARS = CONFIG.maxBars; // of one answer

/* 2024-10-04T00:00:00Z, in seconds. */
export const MIDNIGHT = 20000 * DAY;

/* A bar as the chart holds it: price 100, volume 4 of which 3 bought; `change` has the fields that differ. */
export function bar(time, change = {}) {
  const one = { time, open: 100, high: 101, low: 99, close: 100, volume: 4, turnover: 400, count: 2, bought: 3 };
  return { ...one, doubt: 0, source: 'live', confirmed: null, counts: { archive: null, live: null }, ...change };
}

/* `count` bars of `step` seconds each, the first at `start`; `changeOf(i)` has the fields that differ in the i-th. */
export function barsFrom(start, count, step = 60, changeOf = () => ({})) {
  return Array.from({ length: count }, (_, i) => bar(start + i * step, changeOf(i)));
}

/* The event of the stream for a bar. */
export function event({ time, open, high, low, close, volume, turnover, count, bought, doubt, source, confirmed }) {
  return { bar: [time, open, high, low, close, volume, turnover, count, bought, doubt, source, confirmed, time * 1000] };
}

/* Runs every promise that can be continued. */
export function settle() {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/* Timers and frames that advance only under the test's control. */
class Clock {
  constructor() {
    this.now = (MIDNIGHT + DAY) * 1000;
    this.timers = new Map();
    this.frames = [];
    this.id = 0;
  }

  after(call, delay, every = 0) {
    this.timers.set(++this.id, { call, at: this.now + delay, every });
    return this.id;
  }

  /* Advances the time and runs every timer that falls due in it. */
  async advance(ms) {
    const end = this.now + ms;
    for (;;) {
      const due = [...this.timers].filter(([, { at }]) => at <= end).toSorted(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      const [id, timer] = due;
      this.now = timer.at;
      if (timer.every) timer.at += timer.every;
      else this.timers.delete(id);
      timer.call();
      await settle(); // oxlint-disable-line no-await-in-loop -- one after the other, as on a page
    }
    this.now = end;
  }

  /* The browser draws once. */
  async frame() {
    this.now += FRAME_MS;
    const due = this.frames;
    this.frames = [];
    for (const call of due) call();
    await settle();
  }
}

/* An element of the document, as far as the modules need one. */
class Element {
  constructor(name) {
    Object.assign(this, { name, children: [], className: '', dataset: {}, style: {}, hidden: false, value: '' });
    this.attributes = {};
    this.listeners = {};
    this.open = false;
  }

  get textContent() {
    return this.value + this.children.map((child) => child.textContent).join('');
  }

  set textContent(text) {
    this.children = [];
    this.value = String(text);
  }

  get lastElementChild() {
    return this.children.at(-1);
  }

  /* The texts of the leaves, in order. */
  get texts() {
    return this.children.length ? this.children.flatMap((child) => child.texts) : [this.textContent];
  }

  append(...made) {
    for (const child of made) this.insert(child, this.children.length);
  }

  prepend(child) {
    this.insert(child, 0);
  }

  insert(child, place) {
    child.parent?.children.splice(child.parent.children.indexOf(child), 1);
    child.parent = this;
    this.children.splice(place, 0, child);
  }

  replaceChildren(...made) {
    this.value = '';
    this.children = [];
    this.append(...made);
  }

  remove() {
    this.parent?.children.splice(this.parent.children.indexOf(this), 1);
    this.parent = undefined;
  }

  addEventListener(kind, call) {
    (this.listeners[kind] ??= []).push(call);
  }

  fire(kind, given = {}) {
    for (const call of this.listeners[kind] ?? []) call({ target: this, preventDefault() {}, ...given });
  }

  setAttribute(name, value) {
    this.attributes[name] = String(value);
  }

  showModal() {
    this.open = true;
  }

  close() {
    this.open = false;
  }

  querySelector() {
    return null;
  }

  getBoundingClientRect() {
    return { left: 0, top: 0, width: 1000, height: 500 };
  }

  click() {}
}

class Series {
  constructor(kind, options) {
    Object.assign(this, { kind, settings: { ...options }, points: [] });
  }

  applyOptions(options) {
    Object.assign(this.settings, options);
  }

  priceScale() {
    return { applyOptions: (options) => Object.assign(this.settings, options) };
  }

  attachPrimitive(primitive) {
    this.primitive = primitive;
  }

  data() {
    return this.points;
  }

  setData(points) {
    if (points.some(({ time }, i) => i && time <= points[i - 1].time)) throw new Error('data must be ascending by time');
    this.points = [...points];
  }

  update(point, isHistorical = false) {
    const last = this.points.at(-1);
    if (last && point.time < last.time && !isHistorical) throw new Error('cannot update oldest data');
    const place = this.points.findIndex(({ time }) => time >= point.time);
    if (place < 0) this.points.push(point);
    else this.points.splice(place, this.points[place].time === point.time ? 1 : 0, point);
  }
}

/* The chart library. A range that was set shows, and is reported, with the next frame. */
function library(clock) {
  const scale = { shown: null, calls: [] };
  const timeScale = {
    getVisibleLogicalRange: () => scale.shown,
    logicalToCoordinate: (place) => (scale.shown ? 10 * (place - scale.shown.from) : null),
    setVisibleLogicalRange(range) {
      clock.frames.push(() => {
        scale.shown = { ...range };
        for (const call of scale.calls) call(scale.shown);
      });
    },
    subscribeVisibleLogicalRangeChange: (call) => scale.calls.push(call),
  };
  const made = { series: [], markers: [], crosshair: null, timeScale };
  const chart = {
    addSeries(kind, options) {
      const series = new Series(kind, options);
      made.series.push(series);
      return series;
    },
    removeSeries: (series) => made.series.splice(made.series.indexOf(series), 1),
    applyOptions() {},
    options: () => ({ layout: { fontFamily: 'mono' } }),
    panes: () => [],
    setCrosshairPosition() {},
    clearCrosshairPosition() {},
    subscribeCrosshairMove(call) {
      made.crosshair = call;
    },
    timeScale: () => timeScale,
  };
  const names = { CandlestickSeries: 'candles', HistogramSeries: 'histogram', LineSeries: 'line' };
  const createSeriesMarkers = () => ({
    setMarkers(markers) {
      made.markers = markers;
    },
  });
  return { made, exported: { ...names, createChart: () => chart, createSeriesMarkers } };
}

/* The server's answers about candles; `bars`: by interval. An answer has the newest bars of the span, 2000 at most. */
export class Server {
  constructor(bars = {}, newest = null) {
    Object.assign(this, { bars, newest, fault: '', age: 0 });
  }

  candles(query) {
    const given = (name, other) => (query[name] === undefined ? other : Number(query[name]));
    const end = given('end', (this.newest ?? MIDNIGHT + DAY) + 60);
    const start = given('start', Math.max(0, end - given('span', DAY)));
    const steps = Object.values(INTERVALS);
    const step = INTERVALS[query.interval] ?? steps.find((seconds) => end - start <= seconds * MAX_BARS) ?? DAY;
    const interval = Object.keys(INTERVALS)[steps.indexOf(step)];
    const all = this.bars[interval] ?? [];
    const within = (from, to) => all.filter(({ time }) => time >= from && time < to);
    const first = Math.max(start - (start % step), end - (end % step) - (MAX_BARS - 1) * step);
    let view = { start: first, end, found: within(first, end) };
    const before = all.findLast(({ time }) => time < first);
    if (query.slide && !view.found.length && before) {
      const last = before.time + step;
      view = { start: last - (end - start), end: last, found: within(last - (end - start), last) };
    }
    const column = (name) => view.found.map((one) => one[name] ?? null);
    const columns = { t: 'time', trade_count: 'count', buy_volume: 'bought' };
    for (const name of ['open', 'high', 'low', 'close', 'volume', 'turnover', 'doubt', 'source', 'confirmed']) columns[name] = name;
    return {
      symbol: query.symbol,
      interval,
      step,
      start: view.start,
      end: view.end,
      cut: this.cut ?? false,
      units: { price: 'USDT', volume: 'BTC', turnover: 'USDT' },
      inverse: query.symbol.endsWith('USD'),
      age_s: this.age,
      fault: this.fault,
      newest: this.newest,
      bars: {
        ...Object.fromEntries(Object.entries(columns).map(([as, name]) => [as, column(name)])),
        archive_count: view.found.map(({ counts }) => counts.archive),
        live_count: view.found.map(({ counts }) => counts.live),
      },
    };
  }
}

/* Opens a page: makes fakes of the browser's globals, which stay until the next page is opened. `answer(path, query)`
   returns what the server answers, throws, or returns a promise. */
export function openPage({ answer = () => ({}), search = '' } = {}) {
  const clock = new Clock();
  const { made, exported } = library(clock);
  const page = { clock, chart: made, requests: [], streams: [], elements: {}, buttons: [], visited: [] };
  const document = {
    hidden: false,
    title: '',
    documentElement: new Element('html'),
    body: new Element('body'),
    listeners: {},
    createElement: (name) => new Element(name),
    // The modules make the menu of symbols; everything else stands in the layout.
    getElementById: (id) => (id === 'symbols' ? null : (page.elements[id] ??= new Element(id))),
    querySelectorAll: (selector) => page.buttons.filter(({ dataset }) => selector.slice(6, -1) in dataset),
    addEventListener: Element.prototype.addEventListener,
  };

  class EventSource {
    static CLOSED = 2;

    constructor(url) {
      Object.assign(this, { url, readyState: 0, listeners: {} });
      page.streams.push(this);
    }

    addEventListener(kind, call) {
      Element.prototype.addEventListener.call(this, kind, call);
    }

    close() {
      this.readyState = EventSource.CLOSED;
    }
  }

  const location = { search };
  const visit = (url) => {
    page.visited.push(url);
    location.search = url;
  };
  const window = { listeners: {}, addEventListener: Element.prototype.addEventListener };
  const globals = {
    window,
    document,
    location,
    EventSource,
    LightweightCharts: exported,
    history: { pushState: (_state, _title, url) => visit(url), replaceState: (_state, _title, url) => visit(url) },
    localStorage: { getItem: () => null, setItem() {} },
    matchMedia: () => ({ matches: false }),
    getComputedStyle: () => ({ getPropertyValue: (name) => ` ${name.slice(2)} ` }),
    console: { ...console, info() {} },
    AbortSignal: { timeout: () => null },
    Date: class extends RealDate {
      static now() {
        return clock.now;
      }
    },
    setTimeout: (call, delay) => clock.after(call, delay),
    setInterval: (call, delay) => clock.after(call, delay, delay),
    clearTimeout: (id) => clock.timers.delete(id),
    requestAnimationFrame: (call) => clock.frames.push(call),
    async fetch(url) {
      const [path, text] = url.split('?');
      const query = Object.fromEntries(new URLSearchParams(text));
      page.requests.push([path, query]);
      const content = await answer(path, query);
      const status = content.status ?? 200;
      return { ok: status === 200, status, json: () => Promise.resolve(content) };
    },
  };
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  return Object.assign(page, {
    document,
    location,
    window,
    /* An event of the newest stream. */
    async push(message, lastEventId = '') {
      const [stream] = page.streams.slice(-1);
      for (const call of stream.listeners.message) call({ data: JSON.stringify(message), lastEventId });
      await settle();
    },
    /* The page is hidden or shown again. */
    async hide(isHidden) {
      document.hidden = isHidden;
      for (const call of document.listeners.visibilitychange ?? []) call({});
      await settle();
    },
    button(kind, name) {
      const added = document.createElement('button');
      added.dataset[kind] = name;
      page.buttons.push(added);
      return added;
    },
  });
}
