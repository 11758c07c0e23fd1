/* What stands around the chart: legend, last price, tape, the feed's health, the coverage calendar. */
(function (candles) {
  'use strict';
  const { format, data } = candles;
  const { element } = format;
  const chart = window.candleChart;
  const $ = (id) => document.getElementById(id);
  const TAPE_ROWS = 40;
  const DAY_STATES = ['loaded', 'live', 'no_trades', 'failed', 'missing'];

  let statuses = [];
  let lastTrade = null; // {time (ms), price, bought}
  let feed = {};
  let isConnected = false;
  let wasConnected = false;
  let isTapeOld = false; // what comes next begins it anew

  /* Every field of the candle under the crosshair, else of the newest, digit by digit. */
  function legend() {
    const place = chart.pointed;
    if (place < 0 || !data.shown) return $('legend').replaceChildren();
    const bar = chart.bars[place];
    const gap = chart.gapBefore(place);
    const decimals = chart.digits;
    const change = bar.close - bar.open;
    const delta = deltaOf(bar);
    const price = (name, value) => pair(name, format.price(value, decimals), format.sign(change));
    const status = statuses[bar.doubt];
    $('legend').replaceChildren(
      line(
        element('span', data.shown.interval, 'key'),
        element('span', `${format.minute(bar.time)} UTC`, 'key'),
        price('O', bar.open),
        price('H', bar.high),
        price('L', bar.low),
        price('C', bar.close),
        element('b', format.percent(change / bar.open), format.sign(change)),
        element('b', status, `status ${status}`),
        element('span', bar.source, 'key'),
        ...(gap > 0 ? [element('span', `no candles for ${format.age(gap)} before it`, 'key')] : []),
      ),
      line(
        pair('Volume', format.number(bar.volume)),
        pair('Bought', format.number(bar.bought)),
        pair('Delta', format.number(delta), delta === null ? '' : format.sign(delta)),
        pair('Turnover', format.number(bar.turnover)),
        pair('VWAP', bar.volume ? format.number(bar.turnover / bar.volume, decimals) : format.NONE),
        pair('Trades', format.number(bar.count)),
      ),
    );
  }

  function pair(name, text, className) {
    const made = element('span', undefined, 'pair');
    made.append(element('span', name, 'key'), element('b', text, className));
    return made;
  }

  function line(...parts) {
    const made = element('div', undefined, 'line');
    made.append(...parts);
    return made;
  }

  /* What takers bought less what they sold; with no more decimals than these have, so that no float shows. */
  function deltaOf({ bought, volume }) {
    if (bought === null) return null;
    return Number((2 * bought - volume).toFixed(Math.max(...[bought, volume].map(format.decimals))));
  }

  function tape(rows) {
    const box = $('tape');
    if (isTapeOld) box.replaceChildren();
    isTapeOld = false;
    for (const [time, price, size, bought] of rows) {
      const row = box.children.length >= TAPE_ROWS ? box.lastElementChild : element('div');
      row.className = `row ${bought ? 'up' : 'down'}`;
      row.replaceChildren(
        element('span', format.clock(time)),
        element('span', format.price(price, chart.digits)),
        element('span', format.number(size)),
      );
      box.prepend(row);
      if (!lastTrade || time >= lastTrade.time) lastTrade = { time, price, bought };
    }
    data.painted('trades', rows);
    health();
  }

  /* The last price and the last 24 hours. */
  function last() {
    const bar = chart.bars[chart.bars.length - 1];
    const price = lastTrade ? lastTrade.price : data.isAttached && bar ? bar.close : null;
    if (price === null) return;
    const decimals = chart.digits;
    $('last').textContent = format.price(price, decimals);
    $('last').className = lastTrade ? (lastTrade.bought ? 'up' : 'down') : '';
    document.title = `${format.price(price, decimals)} ${candles.state.symbol}`;
    const day = feed.day;
    if (!day) return;
    const hours = (data.newest - day.since) / 3600;
    $('change').textContent = format.percent(price / day.open - 1);
    $('change').className = format.sign(price - day.open);
    $('day').textContent = [
      hours > 23.9 ? '24 h' : `since ${format.minute(day.since).slice(11)}`,
      `H ${format.price(day.high, decimals)}`,
      `L ${format.price(day.low, decimals)}`,
      `V ${format.short(day.volume)}`,
      `Δ ${format.short(day.delta)}`,
    ].join('  ');
  }

  function trouble() {
    if (!isConnected) return wasConnected ? 'reconnecting' : 'connecting';
    if (feed.postgres) return `live data ${format.age(feed.postgres)} old`;
    return feed.silent ? `feed silent for ${format.age(feed.silent)}` : '';
  }

  function health() {
    const bad = trouble();
    $('feed').textContent = bad || 'live';
    $('lag').textContent = !bad && feed.proven ? `· ${format.number(feed.lag)} ms` : '';
    $('feed').className = `feed ${!isConnected ? 'wait' : bad ? 'bad' : feed.gaps ? 'warn' : 'ok'}`;
    const rows = [
      ['Connection', isConnected ? 'open' : wasConnected ? 'lost, reconnecting' : 'connecting'],
      ['Live candles', feed.postgres ? `Postgres away for ${format.age(feed.postgres)}` : 'from Postgres'],
      ['Tape', feed.tape || 'from the topic'],
    ];
    if (feed.proven) {
      rows.push(
        ['Proven until', `${format.clock(feed.proven)} UTC`],
        ['Lag', `${format.number(feed.lag)} ms`],
        ['Last trade', lastTrade ? `${format.clock(lastTrade.time)} UTC` : format.NONE],
        ['Open gaps', feed.gaps ? `${feed.gaps} since ${format.minute(feed.gaps_since)}` : 'none'],
        ['Reconnects', format.number(feed.reconnects)],
      );
    }
    $('health').replaceChildren(...rows.flatMap(([name, text]) => [element('dt', name), element('dd', text)]));
    last();
  }

  /* Each symbol's years, the newest first: a column a week, a row a weekday. `open(symbol, day)`: one was clicked. */
  async function coverage(symbols, open) {
    const box = $('calendar');
    box.replaceChildren(element('p', 'loading'));
    $('keys').replaceChildren(...DAY_STATES.map(key));
    $('coverage').showModal();
    let answers;
    try {
      answers = await Promise.all(symbols.map((symbol) => data.get('/api/coverage', { symbol })));
    } catch (error) {
      box.replaceChildren(element('p', error.message));
      return;
    }
    box.replaceChildren(...answers.map((answer) => calendar(answer, open)));
    box.querySelector('[open]')?.scrollIntoView();
  }

  function key(state) {
    const label = element('span', state.replace('_', ' '));
    label.prepend(element('i', undefined, `day ${state}`));
    return label;
  }

  /* How many days of each kind; the days themselves once it is unfolded, the chosen symbol's at once. */
  function calendar({ symbol, days, fault, age_s: age }, open) {
    const known = age === null ? 'not known now' : `as of ${format.age(age)} ago`;
    const all = Object.values(days);
    const counts = DAY_STATES.map((state) => [all.filter((day) => day.state === state).length, state.replace('_', ' ')])
      .filter(([count]) => count)
      .map((words) => words.join(' '));
    const box = element('details');
    const summary = element('summary', symbol);
    summary.append(element('span', counts.join(' · ') || 'no day is loaded', 'key'));
    box.append(summary);
    if (fault) box.append(element('p', `${known}: ${fault}`));
    let isFilled = false;
    box.addEventListener('toggle', () => {
      if (isFilled) return;
      isFilled = true;
      for (const [year, dates] of [...byYear(Object.keys(days))].toReversed()) {
        box.append(element('h4', year), grid(symbol, year, dates, days, open));
      }
    });
    box.open = symbol === candles.state.symbol;
    return box;
  }

  const MOVES = { ArrowLeft: -7, ArrowRight: 7, ArrowUp: -1, ArrowDown: 1 };

  /* One stop for the Tab key; the arrows go on from there. */
  function grid(symbol, year, dates, days, open) {
    const made = element('div', undefined, 'year');
    const cells = dates.map((date) => cell(symbol, date, days[date], open));
    cells[cells.length - 1].tabIndex = 0;
    made.append(...months(year), ...cells);
    made.addEventListener('keydown', (event) => {
      const next = cells[cells.indexOf(event.target) + MOVES[event.key]];
      if (!next) return;
      event.preventDefault();
      next.focus();
    });
    return made;
  }

  /* A day's place in its year: the week, and the day of the week from Monday on. */
  function placeOf(date) {
    const newYear = new Date(`${date.slice(0, 4)}-01-01T00:00Z`);
    const place = Math.round((Date.parse(`${date}T00:00Z`) - newYear) / 864e5) + ((newYear.getUTCDay() + 6) % 7);
    return { column: Math.floor(place / 7) + 1, row: (place % 7) + 2 };
  }

  function months(year) {
    return [...'JFMAMJJASOND'].map((letter, i) => {
      const made = element('span', letter, 'month');
      made.style.gridColumn = placeOf(`${year}-${String(i + 1).padStart(2, '0')}-01`).column;
      return made;
    });
  }

  function byYear(dates) {
    const years = new Map();
    for (const date of dates) {
      const year = date.slice(0, 4);
      if (!years.has(year)) years.set(year, []);
      years.get(year).push(date);
    }
    return years;
  }

  function cell(symbol, date, day, open) {
    const made = element('button', undefined, `day ${day.state}`);
    const { column, row } = placeOf(date);
    [made.style.gridColumn, made.style.gridRow, made.tabIndex] = [column, row, -1];
    const rows = day.quarantined ? `, ${day.quarantined} rows quarantined` : '';
    made.title = `${date}: ${day.state}${day.reason ? `, ${day.reason}` : ''}${rows}`;
    made.setAttribute('aria-label', made.title);
    made.addEventListener('click', () => open(symbol, Date.parse(`${date}T00:00Z`) / 1000));
    return made;
  }

  candles.side = {
    legend,
    coverage,
    tape,
    last,
    start(names) {
      statuses = names;
      health();
    },
    feed(state) {
      feed = state;
      health();
    },
    reset() {
      isTapeOld = true;
    },
    connection(is) {
      isConnected = is;
      wasConnected = wasConnected || is;
      health();
    },
    clear() {
      lastTrade = null;
      feed = {};
      $('tape').replaceChildren();
      document.title = candles.state.symbol;
      for (const id of ['last', 'change', 'day']) $(id).textContent = '';
    },
  };
})((window.candles = window.candles || {}));
