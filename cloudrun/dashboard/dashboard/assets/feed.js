/* The state of the feed: one word in the head of the page, and its health in full beside the chart. */
import { byId, element } from './dom.js';
import * as format from './format.js';

/* The worst fault in words, '' without any. */
function faultOf(state, isConnected, wasConnected) {
  if (!isConnected) return wasConnected ? 'reconnecting' : 'connecting';
  if (state.postgres) return `live data ${format.age(state.postgres)} old`;
  return state.silent ? `feed silent for ${format.age(state.silent)}` : '';
}

export function createFeedStatus() {
  let state = {}; // as the stream sends it; `feed_state.state` on the server makes it
  let isConnected = false;
  let wasConnected = false;

  return {
    get state() {
      return state;
    },
    set state(given) {
      state = given;
    },
    connect(isOpen) {
      isConnected = isOpen;
      wasConnected = wasConnected || isOpen;
    },
    /* `lastTrade`: {time} of the latest trade, or null. */
    draw(lastTrade) {
      const fault = faultOf(state, isConnected, wasConnected);
      byId('feed').textContent = fault || 'live';
      byId('lag').textContent = !fault && state.proven ? `· ${format.number(state.lag)} ms` : '';
      byId('feed').className = `feed ${!isConnected ? 'wait' : fault ? 'bad' : state.gaps ? 'warn' : 'ok'}`;
      const rows = [
        ['Connection', isConnected ? 'open' : wasConnected ? 'lost, reconnecting' : 'connecting'],
        ['Live candles', state.postgres ? `Postgres away for ${format.age(state.postgres)}` : 'from Postgres'],
        ['Trades', state.trades || 'from the topic'],
      ];
      if (state.proven) {
        rows.push(
          ['Proven until', `${format.clock(state.proven)} ${format.zoneAt(state.proven / 1000)}`],
          ['Lag', `${format.number(state.lag)} ms`],
          ['Last trade', lastTrade ? `${format.clock(lastTrade.time)} ${format.zoneAt(lastTrade.time / 1000)}` : format.NONE],
          ['Open gaps', state.gaps ? `${state.gaps} since ${format.minute(state.gaps_since)}` : 'none'],
          ['Unfilled gaps', state.unfilled ? `${state.unfilled}, the last ${format.minute(state.unfilled_since)}` : 'none'],
          ['Reconnects', format.number(state.reconnects)],
        );
      }
      byId('health').replaceChildren(...rows.flatMap(([name, text]) => [element('dt', name), element('dd', text)]));
    },
  };
}
