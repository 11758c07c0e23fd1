/* A page whose chart and bar store are loaded from a fake server, for the tests of the dashboard's modules. */
import { createCandleChart } from '../../cloudrun/dashboard/dashboard/assets/chart.js';
import { createBarStore } from '../../cloudrun/dashboard/dashboard/assets/store.js';
import { CONFIG, MIDNIGHT, Server, barsFrom, event, openPage, settle } from './page.mjs';

const DAY = 86400;

export const NEWEST = MIDNIGHT + DAY - 60;
export const LIVE = { symbol: 'BTCUSDT', interval: '1m', span: 6000 };

/* A page whose server has these bars, with nothing loaded. `reported`: the store's callbacks. `held()` makes the server
   wait with its next answer until the returned function is called. */
export function opened(bars = { '1m': barsFrom(NEWEST - 99 * 60, 100) }, newest = NEWEST) {
  const server = new Server(bars, newest);
  let answering = Promise.resolve();
  const page = openPage({
    async answer(_path, query) {
      const answer = server.failing ?? server.candles(query); // as of now, however late it is sent
      const wait = answering;
      answering = Promise.resolve();
      await wait;
      return answer;
    },
  });
  const chart = createCandleChart(page.document.createElement('div'), CONFIG.statuses);
  const store = createBarStore(chart);
  const reported = { answers: [], connections: [], feeds: [], trades: [], resets: 0 };
  Object.assign(store.on, {
    answer: (answer) => reported.answers.push(answer),
    connection: (isOpen) => reported.connections.push(isOpen),
    feed: (state) => reported.feeds.push(state),
    trades: (rows) => reported.trades.push(rows),
    reset: () => reported.resets++,
  });
  store.start();
  function held() {
    let release = null;
    answering = new Promise((resolve) => {
      release = resolve;
    });
    return async () => {
      release();
      await settle();
    };
  }
  return { page, server, chart, store, reported, held };
}

/* The same with the last 100 minutes on the chart. */
export async function live(...given) {
  const made = opened(...given);
  await made.store.load(LIVE);
  return made;
}

/* A page that shows these minutes, and the texts of its elements by their ids. */
export async function shown(bars) {
  const made = await live({ '1m': bars }, bars.at(-1)?.time ?? null);
  await made.page.clock.frame();
  const { document } = made.page;
  return {
    ...made,
    text: (id) => document.getElementById(id).textContent,
    texts: (id) => document.getElementById(id).texts,
  };
}

/* Bars come over the stream and are drawn. */
export async function pushed({ page }, ...bars) {
  for (const one of bars) page.push(event(one));
  await page.clock.frame();
}

/* Open times in minutes from the newest. */
export const times = ({ bars }) => bars.map(({ time }) => (time - NEWEST) / 60);

export const closes = ({ bars }, count) => bars.slice(-count).map(({ close }) => close);

/* Names and values of a list that alternates them, by name. */
export const pairs = (texts) => Object.fromEntries(texts.flatMap((text, i) => (i % 2 ? [] : [[text, texts[i + 1]]])));
