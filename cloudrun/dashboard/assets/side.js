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

  /* Every field of the candle under the crosshair, else of the newest. */
  function legend() {
    const bar = chart.hovered || chart.bars[chart.bars.length - 1];
    if (!bar || !data.shown) return $('legend').replaceChildren();
    const decimals = chart.digits;
    const change = bar.close - bar.open;
    const delta = bar.bought === null ? null : 2 * bar.bought - bar.volume;
    const pair = (name, text, className) => [element('span', name, 'key'), element('b', text, className)];
    const price = (name, value) => pair(name, format.price(value, decimals), format.sign(change));
    const status = statuses[bar.doubt];
    $('legend').replaceChildren(
      element('strong', data.shown.symbol),
      element('span', data.shown.interval, 'key'),
      element('span', `${format.minute(bar.time)} UTC`, 'key'),
      ...price('O', bar.open),
      ...price('H', bar.high),
      ...price('L', bar.low),
      ...price('C', bar.close),
      element('b', format.percent(change / bar.open), format.sign(change)),
      ...pair('Volume', format.short(bar.volume)),
      ...pair('Turnover', format.short(bar.turnover)),
      ...pair('VWAP', bar.volume ? format.number(bar.turnover / bar.volume, decimals) : format.NONE),
      ...pair('Trades', format.number(bar.count)),
      ...pair('Delta', format.short(delta), delta === null ? '' : format.sign(delta)),
      element('b', status, `status ${status}`),
      element('span', bar.source, 'key'),
    );
  }

  function tape(rows) {
    const box = $('tape');
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
    last();
  }

  /* The last price and the last 24 hours. */
  function last() {
    const bar = chart.bars[chart.bars.length - 1];
    const price = lastTrade ? lastTrade.price : data.isAttached && bar ? bar.close : null;
    if (price === null) return;
    const decimals = chart.digits;
    $('last').textContent = format.price(price, decimals);
    $('last').className = lastTrade ? (lastTrade.bought ? 'up' : 'down') : '';
    document.title = `${format.number(price)} ${candles.state.symbol}`;
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
    $('feed').textContent = bad || (feed.proven ? `live · ${format.number(feed.lag)} ms` : 'live');
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

  /* Each symbol's years, the newest first: a column a week, a row a weekday. `open(symbol, day)` when one is clicked. */
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
    box.replaceChildren(...answers.flatMap((answer) => calendar(answer, open)));
  }

  function key(state) {
    const label = element('span', state.replace('_', ' '));
    label.prepend(element('i', undefined, `day ${state}`));
    return label;
  }

  function calendar({ symbol, days, fault, age_s: age }, open) {
    const known = age === null ? 'not known now' : `as of ${format.age(age)} ago`;
    const parts = [element('h3', fault ? `${symbol}, ${known}: ${fault}` : symbol)];
    const years = byYear(Object.keys(days));
    if (!years.size) parts.push(element('p', 'no day is loaded'));
    for (const [year, dates] of [...years].reverse()) {
      const grid = element('div', undefined, 'year');
      grid.append(...dates.map((date) => cell(symbol, date, days[date], open)));
      parts.push(element('h4', year), grid);
    }
    return parts;
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
    const newYear = new Date(`${date.slice(0, 4)}-01-01T00:00Z`);
    const monday = (newYear.getUTCDay() + 6) % 7;
    const place = Math.round((Date.parse(`${date}T00:00Z`) - newYear) / 864e5) + monday;
    made.style.gridColumn = Math.floor(place / 7) + 1;
    made.style.gridRow = (place % 7) + 1;
    const rows = day.quarantined ? `, ${day.quarantined} rows quarantined` : '';
    made.title = `${date}: ${day.state}${day.reason ? `, ${day.reason}` : ''}${rows}`;
    made.setAttribute('aria-label', made.title);
    made.onclick = () => open(symbol, Date.parse(`${date}T00:00Z`) / 1000);
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
    connection(is) {
      isConnected = is;
      wasConnected = wasConnected || is;
      health();
    },
    clear() {
      lastTrade = null;
      feed = {};
      $('tape').replaceChildren();
      for (const id of ['last', 'change', 'day']) $(id).textContent = '';
    },
  };
})((window.candles = window.candles || {}));
