"""The page's API: bars, the stream, coverage, export and health. Every parameter is validated.

Part of the dashboard. Errors are `{"error": ...}`: 400 with what would be right, 503 where an upstream or this instance
is not available. Cloud Run controls access (IAM or IAP); there is no login here.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import random
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final, TypeVar

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from bitcoin_pipeline.amounts import SCALE
from bitcoin_pipeline.candle import Status
from bitcoin_pipeline.symbols import is_inverse, parse_symbol, units_of
from dashboard.backend import Backend
from dashboard.cache import View
from dashboard.level_of_detail import DAY_S, INTERVALS_S, LAST_TIME_S, MAX_BARS
from dashboard.stream import MAX_STREAMS

EXPORT_BARS: Final = 100_000
"""Upper bound on the bars of one export: seventy days of minutes."""
MAX_EXPORTS: Final = 2
"""Upper bound on concurrent exports, which take some 100 MB of memory each; further ones are queued."""

_STATUS: Final = {status.doubt: str(status) for status in Status}

_T = TypeVar("_T")


class InputError(ValueError):
    """A parameter is wrong; the message names the value and what would be right."""


def add_routes(app: FastAPI, backend: Backend) -> None:
    """Add the API to `app`."""
    exporting = asyncio.Semaphore(MAX_EXPORTS)

    @app.exception_handler(InputError)
    async def refuse(request: Request, error: InputError) -> Response:
        return JSONResponse({"error": str(error)}, 400)

    @app.get("/live")
    async def live() -> Response:
        return JSONResponse({"status": "live"})

    @app.get("/ready")
    async def ready() -> Response:
        return JSONResponse(backend.health(), 200 if backend.is_ready else 503)

    @app.get("/api/symbols")
    async def symbols() -> Response:
        return _json({"symbols": await backend.coverage.symbols(), "live": sorted(backend.cache.live_symbols())})

    @app.get("/api/candles")
    async def candles(request: Request) -> Response:
        given = Parameters(request)
        symbol, interval_s = given.symbol(), given.interval_s()
        end_s = given.time_s("end", backend.end_s(symbol))
        start_s = given.time_s("start", max(0, end_s - given.time_s("span", DAY_S)))
        given.check_order(start_s, end_s)
        slide = given.choice("slide", {"1": True, "0": False}, "0")
        to_newer = given.choice("towards", {"older": False, "newer": True}, "older")
        view = await backend.cache.view(symbol, start_s, end_s, interval_s, slide=slide, to_newer=to_newer)
        return _json({**columns(view), "newest": backend.cache.newest_s(symbol)})

    @app.get("/api/stream")
    async def stream(request: Request) -> Response:
        given = Parameters(request)
        symbol, interval_s = given.symbol(), given.interval_s() or INTERVALS_S["1m"]
        if backend.hub.viewers >= MAX_STREAMS:
            return JSONResponse({"error": f"{MAX_STREAMS} streams are open; try again"}, 503, {"Retry-After": "5"})
        after = request.headers.get("last-event-id") or request.query_params.get("after", "")
        events = backend.hub.stream(symbol, interval_s, after, random.random())  # noqa: S311  # no secret
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    @app.get("/api/coverage")
    async def coverage(request: Request) -> Response:
        return _json(await backend.coverage.days(Parameters(request).symbol()))

    @app.get("/api/export")
    async def export(request: Request) -> Response:
        given = Parameters(request)
        symbol, interval_s = given.symbol(), given.interval_s()
        start_s, end_s = given.time_s("start"), given.time_s("end")
        given.check_order(start_s, end_s)
        kind = given.choice("format", {"csv": "csv", "parquet": "parquet"}, "csv")
        limit = EXPORT_BARS if interval_s else MAX_BARS
        async with exporting:
            view = await backend.cache.view(symbol, start_s, end_s, interval_s, limit=limit)
            if not view.is_whole:  # a file has no place for a fault
                return JSONResponse({"error": f"history cannot be read now: {view.fault}"}, 503)
            if view.is_cut:
                raise InputError(f"an export holds at most {limit} bars, and this span has more")
            content = await asyncio.to_thread(exported, view, kind)
        file = f"{symbol}-{_name(view.interval_s)}-{_stamp(start_s)}-{_stamp(end_s)}.{kind}"
        media = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}[kind]
        return Response(content, media_type=media, headers={"Content-Disposition": f'attachment; filename="{file}"'})

    @app.get("/api/{path:path}")
    async def unknown(path: str) -> Response:
        return JSONResponse({"error": f"there is no /api/{path[:40]}"}, 404)


class Parameters:
    """The query parameters of a request. Every method raises InputError."""

    def __init__(self, request: Request) -> None:
        self._given = request.query_params

    def symbol(self) -> str:
        """The symbol."""
        return self._parsed("symbol", parse_symbol, None)

    def interval_s(self) -> int | None:
        """Seconds of a bar; None leaves the choice to the cache."""
        return self.choice("interval", {**INTERVALS_S, "auto": None}, "auto")

    def time_s(self, name: str, default: int | None = None) -> int:
        """Seconds since the epoch, UTC."""
        return self._parsed(name, _seconds, default)

    def choice(self, name: str, choices: dict[str, _T], default: str) -> _T:
        """The value of one of the choices."""
        text = self._given.get(name, default)
        if text not in choices:
            raise InputError(f"{name} must be one of {', '.join(choices)}, got {text[:40]!r}")
        return choices[text]

    def check_order(self, start_s: int, end_s: int) -> None:
        """Check that `start_s` is before `end_s`."""
        if start_s >= end_s:
            raise InputError(f"start must be before end, got {start_s} and {end_s}")

    def _parsed(self, name: str, parse: Callable[[str], _T], default: _T | None) -> _T:
        text = self._given.get(name)
        if text is None:
            if default is None:
                raise InputError(f"{name} is missing")
            return default
        try:
            return parse(text[:100])
        except ValueError as error:
            raise InputError(f"{name}: {error}") from error


def _seconds(text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > LAST_TIME_S:
        raise ValueError(f"must be whole seconds since 1970, at most {LAST_TIME_S}, got {text!r}")
    return int(text)


def columns(view: View) -> dict[str, Any]:
    """A view as JSON: one list per column of its bars; `cut`: the span begins with bars that are left out."""
    return {
        "symbol": view.symbol,
        "units": asdict(units_of(view.symbol)),
        "inverse": is_inverse(view.symbol),
        "interval": _name(view.interval_s),
        "step": view.interval_s,
        "start": view.start_s,
        "end": view.end_s,
        "cut": view.is_cut,
        "age_s": None if view.history_age_s is None else round(view.history_age_s),
        "fault": view.fault,
        "bars": {name: _list(view.bars[name]) for name in view.bars.schema.names},
    }


def _list(column: pa.ChunkedArray) -> Any:
    """A column for orjson. Amounts are exact, and encoded by Arrow, much faster than one by one."""
    if not pa.types.is_decimal(column.type):
        return column.to_pylist()
    return orjson.Fragment(f"[{','.join(pc.fill_null(_digits(column), 'null').to_pylist())}]")


def _digits(amounts: pa.ChunkedArray) -> pa.Array:
    """Amounts of scale 9, none negative, in plain digits as `amounts.plain` writes them.

    Arrow itself writes a small decimal with an exponent. The same bytes, read as whole numbers, have none.
    """
    array = amounts.combine_chunks()
    whole_type = pa.decimal128(array.type.precision, 0)
    whole = pa.Array.from_buffers(whole_type, len(array), array.buffers(), array.null_count, array.offset)
    padded = pc.utf8_lpad(whole.cast(pa.string()), SCALE + 1, "0")
    pointed = pc.replace_substring_regex(padded, rf"([0-9]{{{SCALE}}})$", r".\1")
    return pc.replace_substring_regex(pointed, r"\.?0+$", "")


def exported(view: View, kind: str) -> bytes:
    """The bars as a CSV or Parquet file: exact decimals, times in UTC, the status by its name.

    Values are written in CSV as `pipeline candles --format csv` writes them.
    """
    bars = view.bars
    table = pa.table(
        {
            "symbol": pa.array([view.symbol] * bars.num_rows, pa.string()),
            "open_time": pc.multiply(bars["t"], 1_000_000).cast(pa.timestamp("us", "UTC")),
            **{name: bars[name] for name in bars.schema.names[2 : bars.schema.get_field_index("doubt")]},
            "status": pa.array([_STATUS[doubt] for doubt in bars["doubt"].to_pylist()], pa.string()),
            "source": bars["source"],
            "confirmed": bars["confirmed"],
        }
    )
    sink = io.BytesIO()
    if kind == "parquet":
        pyarrow.parquet.write_table(table, sink)
    else:
        pyarrow.csv.write_csv(
            pa.table({name: _csv_column(table[name]) for name in table.schema.names}),
            sink,
            pyarrow.csv.WriteOptions(quoting_header="none", quoting_style="none"),
        )
    return sink.getvalue()


def _csv_column(column: pa.ChunkedArray) -> Any:
    if pa.types.is_decimal(column.type):
        return _digits(column)
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column.cast(pa.timestamp("s", "UTC")), "%Y-%m-%dT%H:%M:%SZ")
    return column


def _name(interval_s: int) -> str:
    return next(name for name, seconds in INTERVALS_S.items() if seconds == interval_s)


def _stamp(time_s: int) -> str:
    return f"{dt.datetime.fromtimestamp(time_s, dt.UTC):%Y%m%dT%H%M}"


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json", headers={"Cache-Control": "no-store"})
