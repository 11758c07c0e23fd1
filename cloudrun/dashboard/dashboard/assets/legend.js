/* The legend over the chart: every field of the bar under the crosshair, else of the last in sight, digit by digit. */
import { byId, element } from './dom.js';
import * as format from './format.js';
import { meanPrice, takerDelta } from './studies.js';

const CHOICE = 'Of a minute with several candles, a complete one goes before a partial one, then the archive before live.';

function sourceOf(bar) {
  const made = element('span', bar.source, 'key');
  made.title = CHOICE;
  return made;
}

const AGREES = "The exchange's own closed candle has the same volume and turnover.";
const DIFFERS = "The exchange's own closed candle has another volume or turnover, or did not come.";

/* Whether the exchange's own candle agrees: nothing where it was not compared, or while the bar is open. */
function agreement(bar, status) {
  if (typeof bar.confirmed !== 'boolean' || status === 'forming') return [];
  const made = element('span', bar.confirmed ? 'confirmed' : 'not confirmed', 'key');
  made.title = bar.confirmed ? AGREES : DIFFERS;
  return [made];
}

function pair(name, text, className) {
  const made = element('span', undefined, 'pair');
  made.append(element('span', name, 'key'), element('b', text, className));
  return made;
}

/* The trades of the bar, and those that the other plane has of it, where it has them all. */
function tradesOf(bar) {
  const made = [pair('Trades', format.number(bar.count))];
  for (const [plane, count] of Object.entries(bar.counts ?? {})) {
    if (plane === bar.source || count === null) continue;
    made.push(pair(`in ${plane}`, format.number(count), count === bar.count ? '' : 'status partial'));
  }
  return made;
}

function line(...parts) {
  const made = element('div', undefined, 'line');
  made.append(...parts);
  return made;
}

/* The taker delta, with no more decimals than its parts have: those after them are the float's. */
function exactDelta(bar) {
  const delta = takerDelta(bar);
  if (delta === null) return null;
  return Number(delta.toFixed(Math.max(...[bar.bought, bar.volume].map(format.decimalsOf))));
}

/* Writes the legend into `box`. `statuses`: names, to which a bar's `doubt` is the index. */
export function drawLegend(chart, store, statuses, box = byId('legend')) {
  const place = chart.pointed;
  if (place < 0 || !store.shown) return box.replaceChildren();
  const bar = chart.bars[place];
  const gap = chart.gapBefore(place);
  const decimals = chart.digits;
  const change = bar.close - bar.open;
  const delta = exactDelta(bar);
  const price = (name, value) => pair(name, format.price(value, decimals), format.sign(change));
  const status = statuses[bar.doubt];
  const { units, isInverse } = store.shown;
  box.replaceChildren(
    line(
      element('span', store.shown.interval, 'key'),
      element('span', `${format.minute(bar.time)} ${format.zoneAt(bar.time)}`, 'key'),
      price('O', bar.open),
      price('H', bar.high),
      price('L', bar.low),
      price('C', bar.close),
      element('b', format.percent(change / bar.open), format.sign(change)),
      element('b', status, `status ${status}`),
      sourceOf(bar),
      ...agreement(bar, status),
      ...(gap > 0 ? [element('span', `no candles for ${format.age(gap)} before it`, 'key')] : []),
    ),
    line(
      pair('Volume', `${format.number(bar.volume)} ${units.volume}`),
      pair('Bought', format.number(bar.bought)),
      pair('Delta', format.number(delta), delta === null ? '' : format.sign(delta)),
      pair('Turnover', `${format.number(bar.turnover)} ${units.turnover}`),
      pair('VWAP', format.number(meanPrice(bar, isInverse), decimals)),
      ...tradesOf(bar),
    ),
  );
}
