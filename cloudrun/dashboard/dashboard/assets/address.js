/* The page's state as the query of its URL, so that a link opens what was seen.
   {symbol, interval, range, from, to, studies, scale, second}; `from` and `to`: seconds, of what is in sight; both 0 where the view
   is `range` up to the newest bar; `scale`: of prices; `second`: {symbol, interval} of the second chart, or null. */

export function defaultState(config) {
  return { symbol: config.symbol, interval: 'auto', range: '1D', from: 0, to: 0, studies: new Set(['vwap']), scale: 'linear', second: null };
}

/* The state in a query. A missing or wrong value is the default; symbol and studies are then those of `before`. */
export function stateOf(search, config, before) {
  const query = new URLSearchParams(search);
  const among = (name, choices) => (Object.hasOwn(choices, query.get(name)) ? query.get(name) : null);
  const symbol = query.get('symbol') || '';
  const [from, to] = ['from', 'to'].map((name) => Math.floor(Number(query.get(name))) || 0);
  const isRange = from > 0 && from < to && to <= config.lastTime;
  const studies = query.get('studies');
  const [, other, otherInterval] = /^([A-Z0-9-]{3,38})\.(\w+)$/.exec(query.get('second') || '') || [];
  const hasSecond = otherInterval === 'same' || Object.hasOwn(config.intervals, otherInterval ?? '');
  return {
    symbol: /^[A-Z0-9-]{3,38}$/.test(symbol) ? symbol : before.symbol,
    interval: among('interval', config.intervals) || 'auto',
    range: among('range', config.ranges) || '1D',
    from: isRange ? from : 0,
    to: isRange ? to : 0,
    scale: among('scale', config.scales) || 'linear',
    second: hasSecond ? { symbol: other, interval: otherInterval } : null,
    studies:
      studies === null
        ? before.studies
        : new Set(studies.split(',').filter((name) => Object.hasOwn(config.studies, name))),
  };
}

export function queryOf(state) {
  const range = state.from ? { from: state.from, to: state.to } : { range: state.range };
  const query = { symbol: state.symbol, interval: state.interval, ...range, studies: [...state.studies].join(',') };
  if (state.scale !== 'linear') query.scale = state.scale;
  if (state.second) query.second = `${state.second.symbol}.${state.second.interval}`;
  return `?${new URLSearchParams(query)}`.replaceAll('%2C', ',');
}
