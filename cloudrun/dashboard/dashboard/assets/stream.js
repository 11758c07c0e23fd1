/* The stream of server-sent events of one symbol and interval. It ends while the page is hidden, goes on behind the
   last event that came, and is opened anew when it was refused or has been silent. */

export const SILENT_MS = 10000; // the feed's state comes every second
const RETRY_MS = 3000;

/* `onMessage(message)`: an event, parsed; `onConnection(isOpen)`: the stream was opened or lost. */
export function createStream({ onMessage, onConnection }) {
  let subject = null; // {symbol, interval}
  let source = null;
  let lastId = '';
  let heardAt = 0;

  function open(symbol, interval) {
    subject = { symbol, interval };
    reopen();
  }

  function reopen() {
    close();
    if (document.hidden || !subject) return;
    const mine = new EventSource(`/api/stream?${new URLSearchParams({ ...subject, after: lastId })}`);
    source = mine;
    heardAt = Date.now();
    mine.addEventListener('open', () => onConnection(true));
    mine.addEventListener('error', () => {
      onConnection(false);
      // The browser reconnects by itself, unless it was refused.
      if (mine.readyState === EventSource.CLOSED) setTimeout(() => mine === source && reopen(), RETRY_MS);
    });
    mine.addEventListener('message', (event) => {
      heardAt = Date.now();
      if (event.lastEventId) lastId = event.lastEventId;
      onMessage(JSON.parse(event.data));
    });
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  /* Opens a silent stream anew: a connection whose other end is gone may look open for hours. */
  function checkSilence() {
    if (!source || Date.now() - heardAt < SILENT_MS) return;
    onConnection(false);
    reopen();
  }

  return {
    open,
    reopen,
    close,
    checkSilence,
    /* Ends the stream; the next one starts without what came before. */
    clear() {
      subject = null;
      lastId = '';
      close();
    },
    get source() {
      return source;
    },
  };
}
