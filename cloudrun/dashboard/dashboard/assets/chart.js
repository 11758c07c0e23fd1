/* The chart: bars, studies and marks of trust, drawn by lightweight-charts. Knows nothing of where bars come from.
   A bar: {time, open, high, low, close, volume, turnover, count, bought, doubt, source}; time in seconds; doubt is the
   core's: 0 final, 1 repaired, 2 forming, 3 partial. */
window.candleChart = (function (candles) {
  'use strict';
  const DAY = 86400;
  const REPAIRED = 1;
  const PARTIAL = 3;
  const GAP = 600; // seconds without candles from which on a line says so; a quiet market leaves out single minutes
  const COLOURS = ['bg', 'grid', 'line', 'dim', 'up', 'down', 'up-soft', 'down-soft', 'partial', 'repaired'];
  const AVERAGES = { ma20: 20, ma50: 50 };
  const LINES = ['vwap', ...Object.keys(AVERAGES)];
  const OF_OURS = { priceLineVisible: false, lastValueVisible: false };

  const lines = {};
  const colours = {};
  let chart, price, volume, marks;
  let delta = null; // a pane of its own, while it is wanted
  let bars = [];
  let step = 60;
  let digits = 2;
  let studies = new Set();
  let hovered = null; // when the bar under the crosshair opens
  let aim = null; // the range that was asked for, until it is drawn
  let onHover = () => {};

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

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
        attributionLogo: true, // its licence asks for it
      },
      grid: { vertLines: { color: colours.grid }, horzLines: { color: colours.grid } },
      crosshair: { mode: 0, vertLine: crosshair, horzLine: crosshair },
      rightPriceScale: { borderColor: colours.line },
      timeScale: { borderColor: colours.line, timeVisible: true, rightOffset: 6, minBarSpacing: 0.5 },
      localization: { timeFormatter: (time) => `${candles.format.minute(time)} UTC` },
    };
  }

  function build(element) {
    const { createChart, createSeriesMarkers, CandlestickSeries, HistogramSeries, LineSeries } = LightweightCharts;
    chart = createChart(element, { autoSize: true, ...options() });
    price = chart.addSeries(CandlestickSeries, { borderVisible: false, autoscaleInfoProvider: priceExtent });
    volume = chart.addSeries(
      HistogramSeries,
      { priceFormat: { type: 'volume' }, autoscaleInfoProvider: volumeExtent, ...OF_OURS },
      1,
    );
    // The candles alone make the scale: a line far away must not flatten them.
    const line = { lineWidth: 1, crosshairMarkerVisible: false, autoscaleInfoProvider: () => null, ...OF_OURS };
    for (const name of LINES) lines[name] = chart.addSeries(LineSeries, line);
    marks = createSeriesMarkers(price, []);
    price.attachPrimitive({ paneViews: () => [{ zOrder: () => 'bottom', renderer: () => ({ draw: drawGaps }) }] });
    paint();
    chart.subscribeCrosshairMove(({ point, logical }) => {
      hovered = point && Number.isFinite(logical) ? (bars[Math.round(logical)]?.time ?? null) : null;
      onHover();
    });
  }

  /* From the lowest to the highest of the bars whose middle is in sight: one cut by the edge, from before a gap perhaps,
     must not flatten the others. */
  function extent(lowOf, highOf) {
    const seen = chart.timeScale().getVisibleLogicalRange();
    if (!seen) return null;
    const shown = bars.slice(Math.max(0, Math.ceil(seen.from)), Math.max(0, Math.floor(seen.to) + 1));
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

  /* In the colours of the page as they are now. */
  function paint() {
    chart.applyOptions(options());
    const { up, down } = colours;
    price.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    for (const name of LINES) lines[name].applyOptions({ color: colours[name] });
    if (bars.length) draw();
  }

  const soft = (isUp) => colours[isUp ? 'up-soft' : 'down-soft'];
  const volumeOf = (bar) => ({ time: bar.time, value: bar.volume, color: soft(bar.close >= bar.open) });

  function deltaOf({ time, bought, volume: traded }) {
    if (bought === null) return { time };
    const value = 2 * bought - traded;
    return { time, value, color: soft(value >= 0) };
  }

  /* The mean close of the last `length` bars, for the bars from `first` on. */
  function means(length, first) {
    const points = [];
    let sum = 0;
    for (let i = Math.max(0, first - length + 1); i < bars.length; i++) {
      const { time, close } = bars[i];
      sum += close;
      if (i >= first) points.push(i < length - 1 ? { time } : { time, value: sum / length });
      if (i >= Math.max(first, length - 1)) sum -= bars[i - length + 1].close;
    }
    return points;
  }

  /* Each UTC day anew from its first bar, which `first` must be. A day whose beginning is not loaded has none. */
  function vwap(first) {
    const points = [];
    let day = -1;
    let traded = 0;
    let turnover = 0;
    let isWhole = false;
    for (let i = first; i < bars.length; i++) {
      const bar = bars[i];
      const its = Math.floor(bar.time / DAY);
      if (its !== day) {
        if (points.length) points[points.length - 1].color = 'transparent'; // no line from yesterday
        [day, traded, turnover] = [its, 0, 0];
        isWhole = i > 0 || bar.time % DAY === 0;
      }
      traded += bar.volume;
      turnover += bar.turnover;
      points.push(isWhole && traded ? { time: bar.time, value: turnover / traded } : { time: bar.time });
    }
    return points;
  }

  function firstOfDay() {
    let i = bars.length - 1;
    const day = Math.floor(bars[i].time / DAY);
    while (i > 0 && Math.floor(bars[i - 1].time / DAY) === day) i--;
    return i;
  }

  const hasVwap = () => studies.has('vwap') && step < DAY;

  function drawStudies() {
    lines.vwap.setData(hasVwap() ? vwap(0) : []);
    for (const [name, length] of Object.entries(AVERAGES)) {
      lines[name].setData(studies.has(name) ? means(length, 0) : []);
    }
    if (studies.has('delta') && !delta) {
      const { HistogramSeries } = LightweightCharts;
      delta = chart.addSeries(HistogramSeries, { priceFormat: { type: 'volume' }, ...OF_OURS }, 2);
    } else if (!studies.has('delta') && delta) {
      chart.removeSeries(delta);
      delta = null;
    }
    if (delta) delta.setData(bars.map(deltaOf));
    chart.panes().forEach((pane, i) => pane.setStretchFactor(i ? 1 : 5));
  }

  const isMarked = (bar) => bar.doubt === PARTIAL || bar.doubt === REPAIRED;

  function drawMarks() {
    marks.setMarkers(
      bars.filter(isMarked).map(({ time, doubt }) => ({
        time,
        position: 'belowBar',
        shape: doubt === PARTIAL ? 'circle' : 'square',
        color: doubt === PARTIAL ? colours.partial : colours.repaired,
        size: 0.6,
      })),
    );
  }

  /* Seconds without candles before a bar. */
  const gapBefore = (place) => (place > 0 ? bars[place].time - bars[place - 1].time - step : 0);

  /* Bars stand side by side, whatever time lies between them: where much does, a line and how much. */
  function drawGaps(target) {
    const place = chart.timeScale();
    const seen = place.getVisibleLogicalRange();
    if (!seen) return;
    target.useMediaCoordinateSpace(({ context, mediaSize: { width, height } }) => {
      context.strokeStyle = context.fillStyle = colours.dim;
      context.font = `11px ${chart.options().layout.fontFamily}`;
      context.setLineDash([2, 4]);
      let free = 0; // where the next text has room
      for (let i = Math.max(1, Math.floor(seen.from)); i < Math.min(bars.length, seen.to + 1); i++) {
        if (gapBefore(i) < GAP) continue;
        const x = (place.logicalToCoordinate(i - 1) + place.logicalToCoordinate(i)) / 2;
        context.beginPath();
        context.moveTo(x, 0);
        context.lineTo(x, height);
        context.stroke();
        if (x < free) continue;
        const text = `no candles ${candles.format.age(gapBefore(i))}`;
        const { width: wide } = context.measureText(text);
        context.fillText(text, x + 4 + wide < width ? x + 4 : x - 4 - wide, height - 6);
        free = x + wide + 12;
      }
    });
  }

  function draw() {
    price.setData(bars);
    volume.setData(bars.map(volumeOf));
    drawStudies();
    drawMarks();
  }

  /* At least as many decimals as these prices have: a symbol's tick size is never assumed. */
  function adopt(list, least) {
    const prices = list.slice(-60).flatMap(({ open, high, low, close }) => [open, high, low, close]);
    const needed = Math.max(least, ...prices.map(candles.format.decimals));
    if (needed === digits) return;
    digits = needed;
    const minMove = Number((10 ** -digits).toFixed(digits));
    price.applyOptions({ priceFormat: { type: 'price', precision: digits, minMove } });
  }

  /* What was asked for counts at once: the chart itself moves, and says so, with its next drawing only. */
  const range = () => aim || chart.timeScale().getVisibleLogicalRange();

  function show(from, to) {
    aim = { from, to };
    const mine = aim;
    chart.timeScale().setVisibleLogicalRange(aim);
    requestAnimationFrame(() => {
      if (aim === mine) aim = null;
    });
  }

  return {
    build,
    paint,
    range,
    show,
    get bars() {
      return bars;
    },
    get digits() {
      return digits;
    },
    gapBefore,
    /* The place of the bar under the crosshair, else of the newest; -1 without any. */
    get pointed() {
      const place = hovered === null ? -1 : bars.findIndex(({ time }) => time === hovered);
      return place < 0 ? bars.length - 1 : place;
    },
    get chart() {
      return chart;
    },
    onHover(call) {
      onHover = call;
    },
    onRange(call) {
      chart.timeScale().subscribeVisibleLogicalRangeChange(call);
    },
    /* At once: an animation would be cut short by bars that come meanwhile. */
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
    /* The newest bar stays where it is when it is in sight, else the middle does. */
    zoom(factor) {
      const now = range();
      if (!now) return;
      const last = bars.length - 1;
      const fixed = last >= now.from && last <= now.to ? last : (now.from + now.to) / 2;
      show(fixed - (fixed - now.from) * factor, fixed + (now.to - fixed) * factor);
    },
    /* Other bars, of `seconds` each. */
    set(list, seconds) {
      [bars, step, hovered] = [list, seconds, null];
      adopt(list, 0);
      draw();
    },
    /* The same and more bars, `added` of them before the first; what is in sight stays in sight. `follow`: who looks
       at the newest bar goes on looking at it. */
    extend(list, added, follow) {
      const now = range();
      const isAtNewest = now && now.to >= bars.length - 1;
      const by = follow && isAtNewest ? list.length - bars.length : added;
      bars = list;
      adopt(list, digits);
      draw();
      if (now) show(now.from + by, now.to + by);
    },
    /* The newest bar in its newest form, or one after it. */
    put(bar) {
      const last = bars[bars.length - 1];
      const old = last && last.time === bar.time ? bars.pop() : null;
      bars.push(bar);
      adopt([bar], digits);
      price.update(bar);
      volume.update(volumeOf(bar));
      const isNewDay = last && Math.floor(last.time / DAY) < Math.floor(bar.time / DAY);
      if (hasVwap() && isNewDay) lines.vwap.setData(vwap(0)); // yesterday's line ends
      else if (hasVwap()) lines.vwap.update(vwap(firstOfDay()).pop());
      for (const [name, length] of Object.entries(AVERAGES)) {
        if (studies.has(name)) lines[name].update(means(length, bars.length - 1)[0]);
      }
      if (delta) delta.update(deltaOf(bar));
      if (isMarked(bar) ? !old || old.doubt !== bar.doubt : old && isMarked(old)) drawMarks();
    },
    /* A bar behind the newest one, as it is now; one from before the first is left. */
    amend(bar) {
      const place = bars.findIndex(({ time }) => time >= bar.time);
      if (place < 0 || bar.time < bars[0].time) return;
      if (bars[place].time > bar.time) {
        // There was none between its neighbours.
        const now = range(); // none while the chart has no width
        const added = now && place <= now.from ? 1 : 0;
        this.extend([...bars.slice(0, place), bar, ...bars.slice(place)], added, true);
        return;
      }
      bars[place] = bar;
      adopt([bar], digits);
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
})((window.candles = window.candles || {}));
