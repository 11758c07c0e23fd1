"""The page's layout in Dash's components, and the configuration that its JavaScript modules receive.

Part of the dashboard; pure.
"""

from __future__ import annotations

from typing import Any, Final

from dash import dcc, html

from bitcoin_pipeline.candle import Status
from dashboard.coverage import DAY_STATES
from dashboard.level_of_detail import INTERVALS_S, LAST_TIME_S, MAX_BARS

RANGES: Final = {"1D": 1, "5D": 5, "1M": 30, "3M": 91, "1Y": 365, "All": 2500}
"""The days that each range button shows, by its label."""
STUDIES: Final = {
    "vwap": "Day VWAP",
    "ma20": "MA 20",
    "ma50": "MA 50",
    "delta": "Taker delta",
    "profile": "Profile",
    "big": "Big trades",
}
"""The label of each study's button, by the study's name in the modules and in the URL."""
SCALES: Final = {"linear": "Linear", "log": "Log", "percent": "%"}
"""The label of each scale of prices, by its name in the modules and in the URL; the linear one has no button."""
TITLES: Final = {
    "vwap": "Mean price by volume of each UTC day",
    "delta": "What takers bought less what they sold",
    "profile": "Volume by price of the candles in sight",
    "big": "Marks the biggest of the latest trades; the panel Trades has their least size",
    "log": "Logarithmic prices",
    "percent": "Prices in percent of the first candle in sight; with a second chart, both symbols in one",
}
"""What a button does, where its label does not say it all."""
MARKS: Final = {
    str(Status.PARTIAL): "partial: trades may be missing",
    str(Status.REPAIRED): "repaired: trades came late",
    "gap": "no candles in between",
}
"""The explanation of each mark on the chart, by its class in the style sheet."""


def layout(symbol: str) -> html.Div:
    """The page without data; the modules fill its elements by their ids."""
    return html.Div(
        className="page",
        children=[
            _header(symbol),
            html.Div(id="notice", className="notice", role="status", hidden=True),
            html.Main([_chart(), _second(), _side()]),
            _coverage(),
            dcc.Store(id="config", data=config(symbol)),
            dcc.Store(id="started"),
        ],
    )


def config(symbol: str) -> dict[str, Any]:
    """What the modules share with the server. `symbol`: that of a page whose URL names none.

    `statuses`: names of `Status`, to which a bar's `doubt` is the index. `dayStates`: the states of a day of coverage,
    in the order in which the calendar counts them. `intervals`: seconds by name; `ranges`: days by label.
    """
    return {
        "symbol": symbol,
        "intervals": INTERVALS_S,
        "ranges": RANGES,
        "studies": STUDIES,
        "scales": SCALES,
        "maxBars": MAX_BARS,
        "lastTime": LAST_TIME_S,
        "statuses": [str(status) for status in sorted(Status, key=lambda status: status.doubt)],
        "dayStates": list(DAY_STATES),
    }


def _header(symbol: str) -> html.Header:
    return html.Header(
        [
            html.Div([_symbol(symbol), _price(), _tools(), _feed()], className="line"),
            # The live values are in the other line, so that they move no button when their width changes.
            html.Div(
                className="line",
                children=[
                    _group("Interval", _buttons("interval", {"auto": "Auto", **{name: name for name in INTERVALS_S}})),
                    _group("Range", _buttons("range", {name: name for name in RANGES})),
                    _group("Studies", _buttons("study", STUDIES)),
                    _group("Scale", _buttons("scale", {name: SCALES[name] for name in ("log", "percent")})),
                    _group(
                        "View",
                        [
                            html.Button("Measure", id="measure", title="Drag over the chart to measure (m)"),
                            html.Button("Second chart", id="split", title="Another symbol or interval beside it"),
                        ],
                    ),
                ],
            ),
        ]
    )


def _symbol(symbol: str) -> html.Button:
    listbox = _attributes(aria_haspopup="listbox", aria_expanded="false")
    return html.Button([symbol], id="symbol", title="Choose a symbol (/)", **listbox)


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
        html.Button(label, title=TITLES.get(name, ""), **_attributes(**{f"data_{kind}": name}, aria_pressed="false"))
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
            html.Button("UTC", id="zone", className="utc", title="Times in UTC or in your own zone (z)"),
            html.Div("loading", id="state", className="state"),
            html.Button(id="hint", className="hint", hidden=True),
            html.Button("To the newest", id="newest", className="newest", hidden=True, title="End"),
        ],
    )


def _second() -> html.Section:
    return html.Section(
        id="second",
        className="chart second",
        hidden=True,
        children=[
            html.Div(id="second-chart", className="second-chart"),
            html.Div(id="second-head", className="second-head"),
            html.Div(id="second-legend", className="legend"),
            html.Div(id="second-state", className="state", hidden=True),
        ],
    )


def _side() -> html.Aside:
    return html.Aside(
        [
            html.Div([html.H2("Trades"), html.Button("Pause", id="pause", title="Hold the list")], className="bar"),
            html.Div(id="sizes", className="sizes"),
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
