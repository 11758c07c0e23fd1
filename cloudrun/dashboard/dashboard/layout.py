"""The page's layout in Dash's components, and the configuration that its JavaScript modules receive.

Part of the dashboard; pure.
"""

from __future__ import annotations

from typing import Any, Final

from dash import dcc, html

from bitcoin_pipeline.candle import Status
from dashboard.coverage import DAY_STATES
from dashboard.level_of_detail import INTERVALS_S, LAST_TIME_S, MAX_BARS

SYMBOL: Final = "BTCUSDT"
"""The symbol of a page whose URL names none."""

RANGES: Final = {"1D": 1, "5D": 5, "1M": 30, "3M": 91, "1Y": 365, "All": 2500}
"""The days that each range button shows, by its label."""
STUDIES: Final = {"vwap": "Day VWAP", "ma20": "MA 20", "ma50": "MA 50", "delta": "Taker delta"}
"""The label of each study's button, by the study's name in the modules and in the URL."""
MARKS: Final = {
    str(Status.PARTIAL): "partial: trades may be missing",
    str(Status.REPAIRED): "repaired: missing trades came later",
    "gap": "no candles in between",
}
"""The explanation of each mark on the chart, by its class in the style sheet."""


def layout() -> html.Div:
    """The page without data; the modules fill its elements by their ids."""
    return html.Div(
        className="page",
        children=[
            _header(),
            html.Div(id="notice", className="notice", role="status", hidden=True),
            html.Main([_chart(), _side()]),
            _coverage(),
            dcc.Store(id="config", data=config()),
            dcc.Store(id="started"),
        ],
    )


def config() -> dict[str, Any]:
    """What the modules share with the server.

    `statuses`: names of `Status`, to which a bar's `doubt` is the index. `dayStates`: the states of a day of coverage,
    in the order in which the calendar counts them. `intervals`: seconds by name; `ranges`: days by label.
    """
    return {
        "symbol": SYMBOL,
        "intervals": INTERVALS_S,
        "ranges": RANGES,
        "studies": STUDIES,
        "maxBars": MAX_BARS,
        "lastTime": LAST_TIME_S,
        "statuses": [str(status) for status in sorted(Status, key=lambda status: status.doubt)],
        "dayStates": list(DAY_STATES),
    }


def _header() -> html.Header:
    return html.Header(
        [
            html.Div([_symbol(), _price(), _tools(), _feed()], className="line"),
            # The live values are in the other line, so that they move no button when their width changes.
            html.Div(
                className="line",
                children=[
                    _group("Interval", _buttons("interval", {"auto": "Auto", **{name: name for name in INTERVALS_S}})),
                    _group("Range", _buttons("range", {name: name for name in RANGES})),
                    _group("Studies", _buttons("study", STUDIES)),
                ],
            ),
        ]
    )


def _symbol() -> html.Button:
    listbox = _attributes(aria_haspopup="listbox", aria_expanded="false")
    return html.Button([SYMBOL], id="symbol", title="Choose a symbol (/)", **listbox)


def _price() -> html.Div:
    day = html.Span(id="day", className="day", title="The last 24 hours: high, low, volume, taker delta")
    return html.Div([html.Span(id="last"), html.Span(id="change"), day], className="price")


def _tools() -> html.Div:
    export = "Export the bars in sight, with exact values"
    return _group(
        "Tools",
        [
            html.Button("Coverage", id="show-coverage", title="Which days are loaded (c)"),
            html.Button("CSV", **_attributes(data_export="csv"), title=export),
            html.Button("Parquet", **_attributes(data_export="parquet"), title=export),
            html.Button("◐", id="theme", title="Dark or light (t)", **_attributes(aria_label="Dark or light")),
        ],
        "group tools",
    )


def _feed() -> html.Div:
    # The lag is outside the status: a screen reader would read it out every second.
    state = html.Span("connecting", id="feed", className="feed wait", role="status")
    return html.Div(
        [state, html.Span(id="lag", title="How far the proven time is behind the exchange")], className="state-of-feed"
    )


def _group(label: str, buttons: list[html.Button], classes: str = "group") -> html.Div:
    return html.Div(buttons, className=classes, role="group", **_attributes(aria_label=label))


def _buttons(kind: str, names: dict[str, str]) -> list[html.Button]:
    return [
        html.Button(label, **_attributes(**{f"data_{kind}": name}, aria_pressed="false"))
        for name, label in names.items()
    ]


def _attributes(**given: str) -> Any:
    """Attributes whose names have dashes, which keyword arguments cannot have."""
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
            html.Div(id="trades", className="trades"),
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
