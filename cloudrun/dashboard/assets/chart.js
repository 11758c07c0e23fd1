/* The chart: bars, studies and marks of trust, drawn by lightweight-charts. Knows nothing of where bars come from.
   A bar: {time, open, high, low, close, volume, turnover, count, bought, boughtTurnover, doubt, source}; time in
   seconds, doubt: 0 final, 1 repaired, 2 forming, 3 partial. */
window.candleChart = (function () {
  'use strict';
  const DAY = 86400, FORMING = 2, PARTIAL = 3, REPAIRED = 1;
  let chart, price, volume, delta, marks, lines = {}, colours = {}, bars = [], step = 60, digits = 2, on = new Set();
  let hovered = null, onHover = () => {};

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function readColours() {
    for (const name of ['bg', 'grid', 'line', 'text', 'dim', 'up', 'down', 'up-soft', 'down-soft', 'vwap', 'ma20', 'ma50', 'partial', 'repaired']) colours[name] = css('--' + name);
  }

  function options() {
    const tag = colours.line;
    return {
      layout: { background: { type: 'solid', color: colours.bg }, textColor: colours.dim, fontFamily: css('--font'), fontSize: 11, panes: { separatorColor: colours.line, separatorHoverColor: colours.grid }, attributionLogo: true },
      grid: { vertLines: { color: colours.grid }, horzLines: { color: colours.grid } },
      crosshair: { mode: 0, vertLine: { color: colours.dim, labelBackgroundColor: tag }, horzLine: { color: colours.dim, labelBackgroundColor: tag } },
      rightPriceScale: { borderColor: colours.line },
      timeScale: { borderColor: colours.line, timeVisible: true, secondsVisible: false, rightOffset: 6, minBarSpacing: 0.2 },
    };
  }

  function build(element) {
    const L = window.LightweightCharts;
    readColours();
    chart = L.createChart(element, { autoSize: true, ...options() });
    price = chart.addSeries(L.CandlestickSeries, { borderVisible: false });
    volume = chart.addSeries(L.HistogramSeries, { priceFormat: { type: 'volume' }, priceLineVisible: false, lastValueVisible: false }, 1);
    for (const name of ['vwap', 'ma20', 'ma50']) {
      lines[name] = chart.addSeries(L.LineSeries, { lineWidth: 1, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false });
    }
    marks = L.createSeriesMarkers(price, []);
    paint();
    chart.subscribeCrosshairMove((at) => {
      hovered = at.logical === undefined || at.logical === null || !at.point ? null : bars[Math.round(at.logical)] || null;
      onHover(hovered);
    });
  }

  function paint() {
    readColours();
    chart.applyOptions(options());
    price.applyOptions({ upColor: colours.up, downColor: colours.down, wickUpColor: colours.up, wickDownColor: colours.down });
    for (const name of ['vwap', 'ma20', 'ma50']) lines[name].applyOptions({ color: colours[name] });
    if (bars.length) draw();
  }

  const soft = (bar) => (bar.close >= bar.open ? colours['up-soft'] : colours['down-soft']);
  const volumeOf = (bar) => ({ time: bar.time, value: bar.volume, color: soft(bar) });
  const deltaOf = (bar) => (bar.bought === null ? { time: bar.time } : { time: bar.time, value: 2 * bar.bought - bar.volume, color: 2 * bar.bought >= bar.volume ? colours['up-soft'] : colours['down-soft'] });

  function meanAt(index, length) {
    if (index < length - 1) return { time: bars[index].time };
    let sum = 0;
    for (let i = index - length + 1; i <= index; i++) sum += bars[i].close;
    return { time: bars[index].time, value: sum / length };
  }

  function means(length) {
    let sum = 0;
    return bars.map((bar, i) => {
      sum += bar.close - (i >= length ? bars[i - length].close : 0);
      return i >= length - 1 ? { time: bar.time, value: sum / length } : { time: bar.time };
    });
  }

  /* Each UTC day anew, from its first bar; a day whose beginning is not loaded has none. */
  function vwap(from) {
    const points = [];
    let day = from ? Math.floor(bars[from].time / DAY) : -1, v = 0, t = 0, whole = from > 0;
    for (let i = from; i < bars.length; i++) {
      const bar = bars[i], its = Math.floor(bar.time / DAY);
      if (its !== day) { whole = i > 0 || bar.time % DAY === 0; day = its; v = t = 0; if (points.length) points[points.length - 1].color = 'transparent'; }
      v += bar.volume; t += bar.turnover;
      points.push(whole && v ? { time: bar.time, value: t / v } : { time: bar.time });
    }
    return points;
  }

  function firstOfDay() {
    const day = Math.floor(bars[bars.length - 1].time / DAY);
    let i = bars.length - 1;
    while (i > 0 && Math.floor(bars[i - 1].time / DAY) === day) i--;
    return i;
  }

  function studies() {
    lines.vwap.setData(on.has('vwap') && step < DAY ? vwap(0) : []);
    lines.ma20.setData(on.has('ma20') ? means(20) : []);
    lines.ma50.setData(on.has('ma50') ? means(50) : []);
    if (on.has('delta') && !delta) {
      delta = chart.addSeries(window.LightweightCharts.HistogramSeries, { priceFormat: { type: 'volume' }, priceLineVisible: false, lastValueVisible: false }, 2);
      heights();
    } else if (!on.has('delta') && delta) {
      chart.removeSeries(delta);
      delta = null;
    }
    if (delta) delta.setData(bars.map(deltaOf));
  }

  function heights() {
    chart.panes().forEach((pane, i) => pane.setStretchFactor(i ? 1 : 5));
  }

  function mark() {
    marks.setMarkers(bars.filter((bar) => bar.doubt === PARTIAL || bar.doubt === REPAIRED).map((bar) => ({
      time: bar.time, position: 'belowBar', shape: bar.doubt === PARTIAL ? 'circle' : 'square', size: 0.6,
      color: bar.doubt === PARTIAL ? colours.partial : colours.repaired,
    })));
  }

  function draw() {
    price.setData(bars);
    volume.setData(bars.map(volumeOf));
    studies();
    mark();
    heights();
  }

  function decimals(list) {
    let most = 0;
    for (const bar of list.slice(-60)) {
      for (const value of [bar.open, bar.high, bar.low, bar.close]) {
        const text = value < 1e-6 ? value.toFixed(9).replace(/0+$/, '') : String(value);
        most = Math.max(most, (text.split('.')[1] || '').length);
      }
    }
    return Math.min(most, 9);
  }

  return {
    build, paint,
    get bars() { return bars; },
    get step() { return step; },
    get digits() { return digits; },
    get hovered() { return hovered; },
    get chart() { return chart; },
    onHover(f) { onHover = f; },
    onRange(f) { chart.timeScale().subscribeVisibleLogicalRangeChange(f); },
    range() { return chart.timeScale().getVisibleLogicalRange(); },
    show(from, to) { chart.timeScale().setVisibleLogicalRange({ from, to }); },
    toNewest() { chart.timeScale().scrollToRealTime(); },
    pan(fraction) {
      const r = this.range();
      if (r) { const by = (r.to - r.from) * fraction; this.show(r.from + by, r.to + by); }
    },
    zoom(factor) {
      const r = this.range();
      if (!r) return;
      /* The newest bar stays where it is when it is in sight, else the middle does. */
      const last = bars.length - 1, anchor = last >= r.from && last <= r.to ? last : (r.from + r.to) / 2;
      this.show(anchor - (anchor - r.from) * factor, anchor + (r.to - anchor) * factor);
    },
    set(list, seconds) {
      bars = list; step = seconds; digits = decimals(list);
      price.applyOptions({ priceFormat: { type: 'price', precision: digits, minMove: Number((10 ** -digits).toFixed(digits)) } });
      draw();
    },
    /* Another list, `added` bars longer at its beginning; what is in sight stays in sight. `follow`: who looks at the
       newest bar goes on looking at it. */
    extend(list, added, follow) {
      const r = this.range(), by = follow && r && r.to >= bars.length - 1 ? list.length - bars.length : added;
      bars = list;
      draw();
      if (r) this.show(r.from + by, r.to + by);
    },
    /* The newest bar in its newest form, or one after it. */
    put(bar) {
      const last = bars[bars.length - 1], was = last && last.time === bar.time ? last.doubt : -1;
      if (was >= 0) bars[bars.length - 1] = bar; else bars.push(bar);
      price.update(bar);
      volume.update(volumeOf(bar));
      const i = bars.length - 1;
      if (on.has('vwap') && step < DAY) { const points = vwap(firstOfDay()); lines.vwap.update(points[points.length - 1]); }
      if (on.has('ma20')) lines.ma20.update(meanAt(i, 20));
      if (on.has('ma50')) lines.ma50.update(meanAt(i, 50));
      if (delta) delta.update(deltaOf(bar));
      if (was !== bar.doubt && (bar.doubt === PARTIAL || bar.doubt === REPAIRED || was === PARTIAL)) mark();
    },
    /* A bar behind the newest one, amended. */
    amend(bar) {
      const i = bars.findIndex((other) => other.time === bar.time);
      if (i < 0) return false;
      const r = this.range();
      bars[i] = bar;
      draw();
      if (r) this.show(r.from, r.to);
      return true;
    },
    study(names) { on = names; if (bars.length) { const r = this.range(); studies(); if (r) this.show(r.from, r.to); } },
    FORMING, PARTIAL, REPAIRED,
  };
})();
