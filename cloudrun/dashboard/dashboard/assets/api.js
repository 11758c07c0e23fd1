/* Requests to the server's API, and bars as the page holds them:
   {time, open, high, low, close, volume, turnover, count, bought, doubt, source, confirmed, counts}; `time`: seconds when
   the bar opens; `doubt`: the place of its status among the page's `statuses`; `confirmed`: null where it was not
   compared; `counts`: {archive, live}, the trades that each plane has, null where it lacks some, in bars of an answer. */

const TIMEOUT_MS = 20000;
/* A bar's fields in the order in which the stream sends them; `stream.bar_event` on the server writes them. */
const AMOUNTS = ['open', 'high', 'low', 'close', 'volume', 'turnover'];
const FIELDS = ['time', ...AMOUNTS, 'count', 'bought', 'doubt', 'source', 'confirmed'];

/* The JSON of an answer. Throws an Error with the server's reason; its `isRefused` is true where the request was wrong
   and a second one would fail as well. */
export async function get(path, query) {
  const answer = await fetch(`${path}?${new URLSearchParams(query)}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  const content = await answer.json().catch(() => ({ error: `the server answers ${answer.status}` }));
  if (!answer.ok) throw Object.assign(new Error(content.error), { isRefused: answer.status === 400 });
  return content;
}

/* The bars of an answer, which has one list per column. */
export function barsOf(columns) {
  return columns.t.map((time, i) => ({
    time,
    open: columns.open[i],
    high: columns.high[i],
    low: columns.low[i],
    close: columns.close[i],
    volume: columns.volume[i],
    turnover: columns.turnover[i],
    count: columns.trade_count[i],
    bought: columns.buy_volume[i],
    doubt: columns.doubt[i],
    source: columns.source[i],
    confirmed: columns.confirmed[i],
    counts: { archive: columns.archive_count[i], live: columns.live_count[i] },
  }));
}

/* The bar of an event of the stream. */
export function barOf(row) {
  return Object.fromEntries(FIELDS.map((field, i) => [field, row[i]]));
}
