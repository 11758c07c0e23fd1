/* The head of the page: the last price, its change over the last 24 hours, and their extremes. */
import { byId } from './dom.js';
import * as format from './format.js';

/* Writes the price of the last trade, else the close of the newest bar. `symbol` goes into the page's title. `day`:
   {since, open, high, low, volume, delta} as the feed's state has it, or undefined. */
export function drawPrice({ chart, store, symbol, lastTrade, day }) {
  const bar = chart.bars[chart.bars.length - 1];
  const price = lastTrade ? lastTrade.price : store.isAttached && bar ? bar.close : null;
  if (price === null) return;
  const decimals = chart.digits;
  byId('last').textContent = format.price(price, decimals);
  byId('last').className = lastTrade ? (lastTrade.bought ? 'up' : 'down') : '';
  document.title = `${format.price(price, decimals)} ${symbol}`;
  if (!day) return;
  const hours = (store.newest - day.since) / 3600;
  byId('change').textContent = format.percent(price / day.open - 1);
  byId('change').className = format.sign(price - day.open);
  byId('day').textContent = [
    hours > 23.9 ? '24 h' : `since ${format.minute(day.since).slice(11)}`,
    `H ${format.price(day.high, decimals)}`,
    `L ${format.price(day.low, decimals)}`,
    `V ${format.short(day.volume)}${store.shown ? ` ${store.shown.units.volume}` : ''}`,
    `Δ ${format.short(day.delta)}`,
  ].join('  ');
}

export function clearPrice(symbol) {
  document.title = symbol;
  for (const id of ['last', 'change', 'day']) byId(id).textContent = '';
}
