/* The list of the latest trades, the newest first. */
import { byId, element } from './dom.js';
import * as format from './format.js';
import { painted } from './painted.js';

const MAX_ROWS = 40;

export function createTradeList(chart) {
  let last = null; // {time (ms), price, bought} of the trade with the latest time
  let isStale = false; // the next trades replace those in the list

  return {
    get last() {
      return last;
    },
    /* Adds [time (ms), price, size, 1 for a taker who bought] for each trade, the oldest first. */
    add(rows) {
      const box = byId('trades');
      if (isStale) box.replaceChildren();
      isStale = false;
      for (const [time, price, size, bought] of rows) {
        const row = box.children.length >= MAX_ROWS ? box.lastElementChild : element('div');
        row.className = `row ${bought ? 'up' : 'down'}`;
        row.replaceChildren(
          element('span', format.clock(time)),
          element('span', format.price(price, chart.digits)),
          element('span', format.number(size)),
        );
        box.prepend(row);
        if (!last || time >= last.time) last = { time, price, bought };
      }
      painted('trades', rows);
    },
    /* The stream begins anew: its first trades may be in the list already. */
    reset() {
      isStale = true;
    },
    clear() {
      last = null;
      byId('trades').replaceChildren();
    },
  };
}
