"""The page of the usual shape, a peer in `make bench-dashboard`: each tick polls the database and sends a figure.

`python -m tests.bench.dashboard_plotly --port P --bars N`; libpq's variables lead to Postgres.
"""

from __future__ import annotations

import argparse
import logging

import plotly.graph_objects as go
import psycopg
from dash import Dash, Input, Output, dcc, html

TICK_MS = 200
_NEWEST = """
SELECT open_time, open, high, low, close, extract(epoch FROM updated_at) * 1000
FROM candles WHERE symbol = 'BTCUSDT' ORDER BY open_time DESC LIMIT %s
"""
# Records what the dashboard's own page records: when a figure was painted, with the time (ms) when its newest candle
# was written.
_WATCH = """
function watch(figure) {
  const plot = document.querySelector('#chart .js-plotly-plot');
  if (plot && !plot.watched) {
    plot.watched = true;
    window.candles = { painted: [] };
    let seen = 0;
    plot.on('plotly_afterplot', () => {
      const written = plot.layout.meta;
      if (written === seen) return;
      seen = written;
      requestAnimationFrame(() =>
        requestAnimationFrame(() => candles.painted.push(['bar', [written], Date.now()])));
    });
  }
  return window.dash_clientside.no_update;
}
"""


def main() -> None:
    """Serve the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bars", type=int, required=True)
    options = parser.parse_args()
    connection = psycopg.connect(autocommit=True)
    app = Dash("plotly-page")
    app.layout = html.Div(
        [dcc.Graph(id="chart", style={"height": "90vh"}), dcc.Interval(id="tick", interval=TICK_MS), dcc.Store(id="x")]
    )

    @app.callback(Output("chart", "figure"), Input("tick", "n_intervals"))
    def draw(_: int) -> go.Figure:
        rows = connection.execute(_NEWEST, (options.bars,)).fetchall()
        times, opens, highs, lows, closes, written = zip(*reversed(rows), strict=True)
        figure = go.Figure(go.Candlestick(x=times, open=opens, high=highs, low=lows, close=closes))
        figure.update_layout(uirevision="keep", meta=float(max(written)))
        return figure

    app.clientside_callback(_WATCH, Output("x", "data"), Input("chart", "figure"))  # type: ignore[no-untyped-call]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a log line a request would count as the peer's CPU
    app.run(host="127.0.0.1", port=options.port, debug=False)


if __name__ == "__main__":
    main()
