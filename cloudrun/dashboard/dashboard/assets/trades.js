/* The list of the latest trades, the newest first: it can be paused, and filtered by size. */
import { byId, element } from './dom.js';
import * as format from './format.js';
import { painted } from './painted.js';

const MAX_ROWS = 40;
const MAX_KEPT = 400; // trades, from which a filtered list is filled
const MAX_BIG = 300;
const BIG = 10; // times the mean size: what is big where no threshold is given

/* `onBig(trades, threshold)`: the big trades have changed. */
export function createTradeList(chart, onBig = () => {}) {
  let last = null; // {time (ms), price, bought} of the trade with the latest time
  let isStale = false; // the next trades replace those in the list
  let isPaused = false;
  let waiting = 0; // trades that came while paused
  let least = 0; // size of a trade in the list
  let bigFrom = 0; // size of a big trade; 0: by the mean
  let kept = []; // [time (ms), price, size, bought], the oldest first
  let big = [];

  function field(id, label, title) {
    const [box, input] = [element('label', label), element('input')];
    Object.assign(input, { id, type: 'text', inputMode: 'decimal', placeholder: 'any' });
    box.title = title;
    box.append(input);
    return box;
  }

  byId('sizes').replaceChildren(
    field('least', 'At least', 'Shows trades of this size and above'),
    field('big-from', 'Big from', 'Big trades, which the chart can mark, have this size and above'),
  );

  function put(row, trade) {
    const [time, price, size, bought] = trade;
    row.className = `row ${bought ? 'up' : 'down'}`;
    row.replaceChildren(
      element('span', format.clock(time)),
      element('span', format.price(price, chart.digits)),
      element('span', format.number(size)),
    );
    return row;
  }

  /* Fills the list anew from what was kept. */
  function draw() {
    const shown = kept.filter(([, , size]) => size >= least).slice(-MAX_ROWS);
    byId('trades').replaceChildren(...shown.toReversed().map((trade) => put(element('div'), trade)));
    waiting = 0;
    drawPause();
  }

  function drawPause() {
    byId('pause').textContent = isPaused ? `Resume${waiting ? ` (${waiting})` : ''}` : 'Pause';
    byId('pause').setAttribute('aria-pressed', isPaused);
  }

  function threshold() {
    if (bigFrom) return bigFrom;
    const total = kept.reduce((sum, [, , size]) => sum + size, 0);
    return kept.length ? Number(((BIG * total) / kept.length).toPrecision(2)) : Infinity;
  }

  function drawBig() {
    const from = threshold();
    byId('big-from').placeholder = Number.isFinite(from) ? format.number(from) : '';
    onBig(big.filter(({ size }) => size >= from), from);
  }

  function takeBig(rows) {
    const from = threshold();
    const found = rows.filter(([, , size]) => size >= from);
    if (!found.length) return;
    const known = new Set(big.map(({ time, price, size }) => `${time} ${price} ${size}`)); // a stream that begins anew repeats
    const more = found
      .filter(([time, price, size]) => !known.has(`${time} ${price} ${size}`))
      .map(([time, price, size, bought]) => ({ time, price, size, bought }));
    big = [...big, ...more].slice(-MAX_BIG);
    drawBig();
  }

  return {
    get last() {
      return last;
    },
    /* Adds [time (ms), price, size, 1 for a taker who bought] for each trade, the oldest first. */
    add(rows) {
      const box = byId('trades');
      if (isStale) {
        kept = [];
        if (!isPaused) box.replaceChildren();
      }
      isStale = false;
      kept = [...kept, ...rows].slice(-MAX_KEPT);
      for (const trade of rows) {
        const [time, price, size, bought] = trade;
        if (!last || time >= last.time) last = { time, price, bought };
        if (size < least) continue;
        if (isPaused) waiting++;
        else box.prepend(put(box.children.length >= MAX_ROWS ? box.lastElementChild : element('div'), trade));
      }
      if (isPaused) drawPause();
      takeBig(rows);
      painted('trades', rows);
    },
    /* The stream begins anew: its first trades may be in the list already. */
    reset() {
      isStale = true;
    },
    clear() {
      last = null;
      [kept, big] = [[], []];
      draw();
      drawBig();
    },
    /* Writes the list anew, as after a change of the zone. */
    draw,
    pause() {
      isPaused = !isPaused;
      if (isPaused) drawPause();
      else draw();
    },
    /* Shows trades of at least this size. */
    filter(size) {
      least = size;
      draw();
    },
    /* Trades of this size are big; 0 takes ten times the mean size of the latest ones. */
    bigFrom(size) {
      bigFrom = size;
      const from = threshold();
      big = kept.filter(([, , one]) => one >= from).map(([time, price, one, bought]) => ({ time, price, size: one, bought }));
      drawBig();
    },
  };
}
