/* The chart: bars, studies, and marks of doubtful bars, drawn by lightweight-charts. */
import { drawBigTrades } from './big_trades.js';
import { DAY, decimalsOf, minute, tick, zoneAt } from './format.js';
import { drawGaps, gapBefore } from './gaps.js';
import { logicalOf, placeOf, timeAt } from './places.js';
import { drawProfile, profileOf } from './profile.js';
import { firstOfNewestDay, isOfLaterDay, means, takerDelta, vwap } from './studies.js';

const COLOURS = ['bg', 'grid', 'line', 'dim', 'up', 'down', 'up-soft', 'down-soft', 'partial', 'repaired', 'profile', 'profile-peak', 'other'];
const SHAPES = { partial: 'circle', repaired: 'square' }; // of the mark below a bar of this status
const AVERAGES = { ma20: 20, ma50: 50 };
const LINES = ['vwap', ...Object.keys(AVERAGES)];
const MODES = { linear: 0, log: 1, percent: 2 }; // of the price scale, in the library's numbers
const MAX_SPACING = 24; // pixels of a bar and the room beside it
const UNLABELLED = { priceLineVisible: false, lastValueVisible: false };

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/* Builds the chart in `parent`. `statuses`: names, to which a bar's `doubt` is the index. */
export function createCandleChart(parent, statuses) {
  const { createChart, createSeriesMarkers, CandlestickSeries, HistogramSeries, LineSeries } = LightweightCharts;
  const lines = {};
  const colours = {};
  let delta = null; // a pane of its own, while the study is on
  let bars = [];
  let step = 60;
  let since = Infinity; // from then on all bars are loaded
  let isInverse = false;
  let digits = 2;
  let studies = new Set();
  let big = { trades: [], threshold: 1 };
  let redraw = () => {}; // what is drawn behind the candles
  let other = null; // the line of another symbol, while one is compared
  let hovered = null; // open time of the bar under the crosshair
  let isPointedTo = false; // by the other chart
  let requested = null; // a range that was set and is not drawn yet
  let hoverCall = () => {};

  const library = createChart(parent, { autoSize: true, ...options() });
  const timeScale = library.timeScale();
  const price = library.addSeries(CandlestickSeries, { borderVisible: false, autoscaleInfoProvider: priceExtent });
  const volume = library.addSeries(
    HistogramSeries,
    { priceFormat: { type: 'volume' }, autoscaleInfoProvider: volumeExtent, ...UNLABELLED },
    1,
  );
  // The candles alone make the scale: a line far away must not flatten them.
  const line = { lineWidth: 1, crosshairMarkerVisible: false, autoscaleInfoProvider: () => null, ...UNLABELLED };
  for (const name of LINES) lines[name] = library.addSeries(LineSeries, line);
  const marks = createSeriesMarkers(price, []);
  price.attachPrimitive({
    attached: ({ requestUpdate }) => (redraw = requestUpdate),
    paneViews: () => [{ zOrder: () => 'bottom', renderer: () => ({ draw: drawBehind }) }],
  });
  paint();
  library.subscribeCrosshairMove(({ point, logical, sourceEvent }) => {
    if (isPointedTo && !sourceEvent) return; // the event of `pointTo`
    isPointedTo = false;
    hovered = point && Number.isFinite(logical) ? (bars[Math.round(logical)]?.time ?? null) : null;
    hoverCall();
  });

  function options() {
    for (const name of [...COLOURS, ...LINES]) colours[name] = css(name);
    const crosshair = { color: colours.dim, labelBackgroundColor: colours.line };
    return {
      layout: {
        background: { type: 'solid', color: colours.bg },
        textColor: colours.dim,
        fontFamily: css('font'),
        fontSize: 11,
        panes: { separatorColor: colours.line, separatorHoverColor: colours.grid },
        attributionLogo: true, // the library's licence requires it
      },
      grid: { vertLines: { color: colours.grid }, horzLines: { color: colours.grid } },
      crosshair: { mode: 0, vertLine: crosshair, horzLine: crosshair },
      rightPriceScale: { borderColor: colours.line },
      timeScale: { borderColor: colours.line, timeVisible: true, rightOffset: 6, minBarSpacing: 0.15, maxBarSpacing: MAX_SPACING, tickMarkFormatter: (time, type) => tick(time, type < 3) },
      localization: { timeFormatter: (time) => `${minute(time)} ${zoneAt(time)}` },
    };
  }

  /* Applies the colours of the page as they are now. */
  function paint() {
    library.applyOptions(options());
    const { up, down } = colours;
    price.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    for (const name of LINES) lines[name].applyOptions({ color: colours[name] });
    if (bars.length) draw();
  }

  /* The scale from the lowest to the highest of the bars whose middle is in sight: a bar cut by the edge, from before a
     gap perhaps, must not flatten the others. */
  function extent(lowOf, highOf) {
    const shown = inSight();
    if (!shown.length) return null;
    const minValue = shown.reduce((least, bar) => Math.min(least, lowOf(bar)), Infinity);
    const maxValue = shown.reduce((most, bar) => Math.max(most, highOf(bar)), -Infinity);
    return { priceRange: { minValue, maxValue } };
  }

  function priceExtent() {
    return extent((bar) => bar.low, (bar) => bar.high);
  }

  function volumeExtent() {
    return extent(() => 0, (bar) => bar.volume);
  }

  function inSight() {
    const seen = timeScale.getVisibleLogicalRange();
    return seen ? bars.slice(Math.max(0, Math.ceil(seen.from)), Math.max(0, Math.floor(seen.to) + 1)) : [];
  }

  const xOf = (place) => timeScale.logicalToCoordinate(place);
  const yOf = (value) => price.priceToCoordinate(value);

  function drawBehind(target) {
    const font = library.options().layout.fontFamily;
    drawGaps(target, timeScale, bars, step, { colour: colours.dim, font });
    if (studies.has('profile')) {
      drawProfile(target, profileOf(inSight()), yOf, { row: colours.profile, peak: colours['profile-peak'] });
    }
    if (studies.has('big')) drawBigTrades(target, big.trades, { ...big, bars, step, xOf, yOf, colours });
  }

  const soft = (isUp) => colours[isUp ? 'up-soft' : 'down-soft'];
  const volumeOf = (bar) => ({ time: bar.time, value: bar.volume, color: soft(bar.close >= bar.open) });

  function deltaOf(bar) {
    const value = takerDelta(bar);
    return value === null ? { time: bar.time } : { time: bar.time, value, color: soft(value >= 0) };
  }

  const hasVwap = () => studies.has('vwap') && step < DAY;

  function drawStudies() {
    lines.vwap.setData(hasVwap() ? vwap(bars, 0, { isInverse, since }) : []);
    for (const [name, length] of Object.entries(AVERAGES)) {
      lines[name].setData(studies.has(name) ? means(bars, length, 0) : []);
    }
    if (studies.has('delta') && !delta) {
      delta = library.addSeries(HistogramSeries, { priceFormat: { type: 'volume' }, ...UNLABELLED }, 2);
    } else if (!studies.has('delta') && delta) {
      library.removeSeries(delta);
      delta = null;
    }
    if (delta) delta.setData(bars.map(deltaOf));
    library.panes().forEach((pane, i) => pane.setStretchFactor(i ? 1 : 5));
  }

  const markOf = (bar) => SHAPES[statuses[bar.doubt]];

  function drawMarks() {
    marks.setMarkers(
      bars.filter(markOf).map((bar) => ({
        time: bar.time,
        position: 'belowBar',
        shape: markOf(bar),
        color: colours[statuses[bar.doubt]],
        size: 0.6,
      })),
    );
  }

  function draw() {
    price.setData(bars);
    volume.setData(bars.map(volumeOf));
    drawStudies();
    drawMarks();
  }

  /* Sets the decimals of prices: those of the newest bars of `list`, at least `least`. A tick size is never assumed. */
  function setDigits(list, least) {
    const prices = list.slice(-60).flatMap(({ open, high, low, close }) => [open, high, low, close]);
    const needed = Math.max(least, ...prices.map(decimalsOf));
    if (needed === digits) return;
    digits = needed;
    const minMove = Number((10 ** -digits).toFixed(digits));
    price.applyOptions({ priceFormat: { type: 'price', precision: digits, minMove } });
  }

  /* The places of the bars in sight. A range that was set counts at once: the library applies and reports it with its
     next drawing only. */
  const range = () => requested || timeScale.getVisibleLogicalRange();

  function show(from, to) {
    const mine = { from, to };
    requested = mine;
    timeScale.setVisibleLogicalRange(mine);
    requestAnimationFrame(() => {
      if (requested === mine) requested = null;
    });
  }

  /* Replaces the bars by these and more of them, `added` of which come before the first; the view stays where it is.
     `follow`: a view that shows the newest bar goes on showing it. `from`: the time from which on all bars are loaded. */
  function extend(list, added, follow, from = since) {
    since = from;
    const now = range();
    const isAtNewest = now && now.to >= bars.length - 1;
    const by = follow && isAtNewest ? list.length - bars.length : added;
    bars = list;
    setDigits(list, digits);
    draw();
    if (now) show(now.from + by, now.to + by);
  }

  return {
    library,
    paint,
    range,
    show,
    extend,
    get bars() {
      return bars;
    },
    get digits() {
      return digits;
    },
    get step() {
      return step;
    },
    /* The times between which the view lies; null without bars or before the first drawing. */
    get times() {
      const now = range();
      return now && bars.length ? { from: timeAt(bars, now.from, step), to: timeAt(bars, now.to, step) } : null;
    },
    showTimes({ from, to }) {
      if (bars.length) show(logicalOf(bars, from, step), logicalOf(bars, to, step));
    },
    /* The place and price at a point of the chart; null beyond the prices. */
    pointAt(x, y) {
      const [place, value] = [timeScale.coordinateToLogical(x), price.coordinateToPrice(y)];
      return place === null || value === null ? null : { place, price: value };
    },
    /* `name`: linear, log or percent (of the first bar in sight). */
    scale(name) {
      price.priceScale().applyOptions({ mode: MODES[name] });
    },
    /* Marks these trades ({time (ms), price, size, bought}), which `threshold` makes big, while the study is on. */
    mark(trades, threshold) {
      big = { trades, threshold };
      if (studies.has('big')) redraw();
    },
    /* Draws the closes of other bars, which are named, as a line on the scale of this chart; null ends it. */
    compare(list, name) {
      const labelled = { color: colours.other, lineWidth: 2, lastValueVisible: true, autoscaleInfoProvider: (own) => own() };
      if (list && !other) other = library.addSeries(LineSeries, { ...line, ...labelled });
      if (!list && other) {
        library.removeSeries(other);
        other = null;
      }
      if (!other) return;
      // A time that this chart lacks would be given a place of its own in it.
      const places = list.filter(({ time }) => bars[placeOf(bars, time)]?.time === time);
      other.applyOptions({ title: name });
      other.setData(places.map(({ time, close }) => ({ time, value: close })));
    },
    /* Shows the crosshair at a time, as if it were pointed at; null ends it. */
    pointTo(time) {
      const bar = time === null ? undefined : bars[placeOf(bars, time)];
      if (!bar && !isPointedTo) return;
      isPointedTo = Boolean(bar);
      hovered = bar ? bar.time : null;
      if (bar) library.setCrosshairPosition(bar.close, bar.time, price);
      else library.clearCrosshairPosition();
    },
    get hovered() {
      return hovered;
    },
    gapBefore: (place) => gapBefore(bars, place, step),
    /* The place of the bar under the crosshair, else of the last one in sight; -1 without any. */
    get pointed() {
      const place = hovered === null ? -1 : bars.findIndex(({ time }) => time === hovered);
      if (place >= 0 || !bars.length) return place;
      const now = range();
      return Math.min(bars.length - 1, Math.max(0, now ? Math.floor(now.to) : bars.length - 1));
    },
    onHover(call) {
      hoverCall = call;
    },
    onRange(call) {
      timeScale.subscribeVisibleLogicalRangeChange(call);
    },
    /* Moves to the newest bar at once: bars that come would cut an animation short. */
    toNewest() {
      const now = range();
      if (!now) return;
      const by = bars.length - 1 + Math.min(6, (now.to - now.from) / 10) - now.to;
      show(now.from + by, now.to + by);
    },
    pan(share) {
      const now = range();
      if (!now) return;
      const by = (now.to - now.from) * share;
      show(now.from + by, now.to + by);
    },
    /* The newest bar stays in its place where it is in sight, else the middle of the view does. */
    zoom(factor) {
      const now = range();
      if (!now) return;
      const last = bars.length - 1;
      const fixed = last >= now.from && last <= now.to ? last : (now.from + now.to) / 2;
      show(fixed - (fixed - now.from) * factor, fixed + (now.to - fixed) * factor);
    },
    /* Replaces all bars by others, of `seconds` each. `from`: the time from which on all bars are loaded. */
    set(list, seconds, { from = Infinity, inverse = false } = {}) {
      [bars, step, since, isInverse, hovered] = [list, seconds, from, inverse, null];
      setDigits(list, 0);
      draw();
    },
    /* The newest bar in its newest form, or one after it. */
    put(bar) {
      const last = bars[bars.length - 1];
      const old = last && last.time === bar.time ? bars.pop() : null;
      bars.push(bar);
      setDigits([bar], digits);
      price.update(bar);
      volume.update(volumeOf(bar));
      if (hasVwap() && isOfLaterDay(bar, last)) lines.vwap.setData(vwap(bars, 0, { isInverse, since })); // the line of the day before ends
      else if (hasVwap()) lines.vwap.update(vwap(bars, firstOfNewestDay(bars), { isInverse, since }).pop());
      for (const [name, length] of Object.entries(AVERAGES)) {
        if (studies.has(name)) lines[name].update(means(bars, length, bars.length - 1)[0]);
      }
      if (delta) delta.update(deltaOf(bar));
      if (markOf(bar) ? !old || old.doubt !== bar.doubt : old && markOf(old)) drawMarks();
    },
    /* A bar before the newest one, in its newest form; a bar from before the first is left out. */
    amend(bar) {
      const place = bars.findIndex(({ time }) => time >= bar.time);
      if (place < 0 || bar.time < bars[0].time) return;
      if (bars[place].time > bar.time) {
        // There was none between its neighbours.
        const now = range(); // none while the chart has no width
        const added = now && place <= now.from ? 1 : 0;
        extend([...bars.slice(0, place), bar, ...bars.slice(place)], added, true);
        return;
      }
      bars[place] = bar;
      setDigits([bar], digits);
      price.update(bar, true);
      volume.update(volumeOf(bar), true);
      drawStudies();
      drawMarks();
    },
    study(names) {
      studies = names;
      if (bars.length) drawStudies();
    },
  };
}
