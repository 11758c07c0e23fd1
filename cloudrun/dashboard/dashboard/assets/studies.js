/* What is computed from bars: moving averages, the VWAP of a day, the taker delta. Pure. */
import { DAY } from './format.js';

const dayOf = (bar) => Math.floor(bar.time / DAY);

/* Points of the mean close of the last `length` bars, for the bars from place `first` on. */
export function means(bars, length, first) {
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

/* The mean price by volume of a bar, or of sums of bars; null without trades. The turnover of an inverse symbol is in
   the base coin, its volume in the currency of the price. */
export function meanPrice({ volume, turnover }, isInverse) {
  if (!volume || !turnover) return null;
  return isInverse ? volume / turnover : turnover / volume;
}

/* Points of the VWAP, which starts anew with each UTC day. `first` is the place of a day's first bar. `since`: the time
   from which on all bars are loaded; a day that begins before it has none. */
export function vwap(bars, first, { isInverse = false, since = Infinity } = {}) {
  const points = [];
  let day = -1;
  let volume = 0;
  let turnover = 0;
  let isWhole = false;
  for (let i = first; i < bars.length; i++) {
    const bar = bars[i];
    if (dayOf(bar) !== day) {
      if (points.length) points[points.length - 1].color = 'transparent'; // no line from the day before
      [day, volume, turnover] = [dayOf(bar), 0, 0];
      isWhole = i > 0 || day * DAY >= Math.min(since, bar.time);
    }
    volume += bar.volume;
    turnover += bar.turnover;
    const value = isWhole ? meanPrice({ volume, turnover }, isInverse) : null;
    points.push(value === null ? { time: bar.time } : { time: bar.time, value });
  }
  return points;
}

/* The place of the first bar of the newest bar's day. */
export function firstOfNewestDay(bars) {
  let i = bars.length - 1;
  while (i > 0 && dayOf(bars[i - 1]) === dayOf(bars[bars.length - 1])) i--;
  return i;
}

/* True when `bar` is of a later UTC day than `before`; `before` may be undefined. */
export function isOfLaterDay(bar, before) {
  return before !== undefined && dayOf(before) < dayOf(bar);
}

/* What takers bought less what they sold; null where it is unknown. */
export function takerDelta({ bought, volume }) {
  return bought === null ? null : 2 * bought - volume;
}
