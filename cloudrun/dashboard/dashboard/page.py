"""The page: Dash's layout, which the scripts in `assets` bring to life.

Part of the dashboard. Dash lays the page out and serves it with its scripts; figures never pass through it: the
chart reads the API and the stream by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from dash import ClientsideFunction, Dash, Input, Output, clientside_callback, dcc, html
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bitcoin_pipeline.candle import Status
from dashboard.detail import INTERVALS, MAX_BARS

RANGES: Final = {"1D": 1, "5D": 5, "1M": 30, "3M": 91, "1Y": 365, "All": 2500}
"""Days that each button shows."""
STUDIES: Final = {"vwap": "Day VWAP", "ma20": "MA 20", "ma50": "MA 50", "delta": "Taker delta"}
MARKS: Final = {
    "partial": "partial: trades may be missing",
    "repaired": "repaired: they came after all",
    "gap": "no candles in between",
}
_INDEX: Final = """<!DOCTYPE html>
<html lang="en" data-theme="dark">
<head>{%metas%}<title>{%title%}</title>{%favicon%}{%css%}</head>
<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body>
</html>"""


def add_page(app: FastAPI) -> None:
    """Put the page at `/` of `app`, after its other routes."""
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
    dash = Dash(
        __name__,
        server=app,  # type: ignore[arg-type]  # its types know Flask only
        assets_folder=str(Path(__file__).parent / "assets"),
        title="Candles",
        update_title="",
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1, viewport-fit=cover"}],
        index_string=_INDEX,
        serve_locally=True,
    )
    dash.backend.websocket_capability = False  # else each page keeps a websocket for callbacks that there are none of
    dash.layout = layout()
    clientside_callback(ClientsideFunction("candles", "start"), Output("started", "data"), Input("config", "data"))
    policy = (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors 'none'; script-src 'self' {' '.join(_quoted(dash.csp_hashes()))}"
    )

    app.add_middleware(Guard, policy=policy)


class Guard:
    """Says to the browser what the page may load: nothing from elsewhere. Streams pass through untouched."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def _quoted(hashes: Any) -> list[str]:
    return [text if text.startswith("'") else f"'{text}'" for text in hashes]


def layout() -> html.Div:
    """The page before any data is there."""
    return html.Div(
        className="page",
        children=[
            _header(),
            html.Div(id="notice", className="notice", role="status", hidden=True),
            html.Main([_chart(), _side()]),
            _coverage(),
            dcc.Store(id="config", data=_config()),
            dcc.Store(id="started"),
        ],
    )


def _config() -> dict[str, Any]:
    statuses = [str(status) for status in sorted(Status, key=lambda status: status.doubt)]
    return {"intervals": INTERVALS, "ranges": RANGES, "studies": STUDIES, "maxBars": MAX_BARS, "statuses": statuses}


def _header() -> html.Header:
    return html.Header(
        [
            html.Div([_symbol(), _price(), _tools(), _feed()], className="line"),
            # What is pushed stands in the other line, so that it moves no button.
            html.Div(
                className="line",
                children=[
                    _group("Interval", _buttons("interval", {"auto": "Auto", **{name: name for name in INTERVALS}})),
                    _group("Range", _buttons("range", {name: name for name in RANGES})),
                    _group("Studies", _buttons("study", STUDIES)),
                ],
            ),
        ]
    )


def _symbol() -> html.Button:
    listbox = _attributes(aria_haspopup="listbox", aria_expanded="false")
    return html.Button(["BTCUSDT"], id="symbol", title="Choose a symbol (/)", **listbox)


def _price() -> html.Div:
    day = html.Span(id="day", className="day", title="The last 24 hours: high, low, volume, taker delta")
    return html.Div([html.Span(id="last"), html.Span(id="change"), day], className="price")


def _tools() -> html.Div:
    export = "Export what is shown, exact"
    return _group(
        "Tools",
        [
            html.Button("Coverage", id="show-coverage", title="Which days are there (c)"),
            html.Button("CSV", **_attributes(data_export="csv"), title=export),
            html.Button("Parquet", **_attributes(data_export="parquet"), title=export),
            html.Button("◐", id="theme", title="Dark or light (t)", **_attributes(aria_label="Dark or light")),
        ],
        "group tools",
    )


def _feed() -> html.Div:
    # The lag is no status: it would be read out every second.
    state = html.Span("connecting", id="feed", className="feed wait", role="status")
    return html.Div(
        [state, html.Span(id="lag", title="How far what is proven is behind the exchange")], className="state-of-feed"
    )


def _group(label: str, buttons: list[html.Button], classes: str = "group") -> html.Div:
    return html.Div(buttons, className=classes, role="group", **_attributes(aria_label=label))


def _buttons(kind: str, names: dict[str, str]) -> list[html.Button]:
    return [
        html.Button(label, **_attributes(**{f"data_{kind}": name}, aria_pressed="false"))
        for name, label in names.items()
    ]


def _attributes(**given: str) -> Any:
    """Attributes whose names have dashes."""
    return {name.replace("_", "-"): value for name, value in given.items()}


def _chart() -> html.Section:
    return html.Section(
        className="chart",
        children=[
            html.Div(
                id="chart",
                tabIndex="0",
                role="application",
                **_attributes(aria_label="Candle chart; arrows pan, + and - zoom"),
            ),
            html.Div(id="legend", className="legend"),
            html.Div("UTC", className="utc"),
            html.Div("loading", id="state", className="state"),
            html.Button("To the newest", id="newest", className="newest", hidden=True, title="End"),
        ],
    )


def _side() -> html.Aside:
    return html.Aside(
        [
            html.H2("Trades"),
            html.Div([html.Span("Time"), html.Span("Price"), html.Span("Size")], className="row head"),
            html.Div(id="tape", className="tape"),
            html.H2("Feed"),
            html.Dl(id="health", className="health"),
            html.H2("Marks"),
            html.Div(
                className="marks",
                children=[html.Span(text, className=f"mark {mark}") for mark, text in MARKS.items()],
            ),
        ]
    )


def _coverage() -> html.Dialog:
    return html.Dialog(
        id="coverage",
        children=[
            html.Div([html.H2("Coverage"), html.Button("Close", id="close-coverage")], className="bar"),
            html.Div(id="calendar", className="calendar"),
            html.Div(id="keys", className="keys"),
        ],
    )
