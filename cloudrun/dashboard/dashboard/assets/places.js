/* Places of bars among a chart's bars, which are in the order of time. */

/* The place of the last bar that opens at `time` (seconds) or before; -1 without any. */
export function placeOf(bars, time) {
  let [low, high] = [0, bars.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (bars[middle].time <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/* Where `time` lies among the bars; beyond their ends time goes on in steps of `step` seconds. */
export function logicalOf(bars, time, step) {
  if (!bars.length) return 0;
  const last = bars.length - 1;
  if (time < bars[0].time) return (time - bars[0].time) / step;
  if (time > bars[last].time) return last + (time - bars[last].time) / step;
  return placeOf(bars, time);
}

/* The time at a place, which may lie beyond the ends of the bars. */
export function timeAt(bars, place, step) {
  const inside = Math.min(bars.length - 1, Math.max(0, Math.round(place)));
  return bars[inside].time + (Math.round(place) - inside) * step;
}
