/* A record of what was painted and when, for the benchmarks: kept while `window.candles.painted` is an array. */

/* Records [kind, what, time (ms)] once the browser has painted the chart. The chart draws in the next frame; when the
   frame after it begins, that drawing is on the screen. */
export function painted(kind, what) {
  if (!window.candles?.painted) return;
  requestAnimationFrame(() => requestAnimationFrame(() => window.candles.painted?.push([kind, what, Date.now()])));
}
