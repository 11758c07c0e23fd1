"""The page's API: bars, the stream, coverage, export, health; every input is held to its rule.

Part of the dashboard. 400 with `{"error": ...}` says what would be right; 503 that upstream or this instance cannot
now. Access is Cloud Run's matter (IAM or IAP), there is no login here.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import random
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from bitcoin_pipeline.symbols import parse_symbol
from dashboard.cache import View, status_of
from dashboard.detail import DAY, INTERVALS, MAX_BARS, SEARCH_END
from dashboard.service import Service
from dashboard.stream import MAX_STREAMS

EXPORT_BARS: Final = 100_000
"""Of one export at most: seventy days of minutes."""
EXPORTS_AT_ONCE: Final = 2
"""That are made, some 100 MB each; others wait for their turn."""

_T = TypeVar("_T")


class InputError(ValueError):
    """What was asked for cannot be; the message names the value and what would be right."""


def add_routes(app: FastAPI, service: Service) -> None:
    """Add the API to `app`."""
    exporting = asyncio.Semaphore(EXPORTS_AT_ONCE)

    @app.exception_handler(InputError)
    async def refuse(request: Request, error: InputError) -> Response:
        return JSONResponse({"error": str(error)}, 400)

    @app.get("/live")
    async def live() -> Response:
        return JSONResponse({"status": "live"})

    @app.get("/ready")
    async def ready() -> Response:
        return JSONResponse(service.health(), 200 if service.is_ready else 503)

    @app.get("/api/symbols")
    async def symbols() -> Response:
        return _json({"symbols": await service.symbols()})

    @app.get("/api/candles")
    async def candles(request: Request) -> Response:
        asked = Asked(request)
        symbol, interval = asked.symbol(), asked.interval()
        end = asked.time("end", service.end(symbol))
        start = asked.time("start", max(0, end - asked.time("span", DAY)))
        asked.ordered(start, end)
        slide = asked.choice("slide", {"1": True, "0": False}, "0")
        view = await service.cache.view(symbol, start, end, interval, slide=slide)
        return _json({**columns(view), "newest": service.cache.newest(symbol)})

    @app.get("/api/stream")
    async def stream(request: Request) -> Response:
        asked = Asked(request)
        symbol, interval = asked.symbol(), asked.interval() or INTERVALS["1m"]
        if service.hub.viewers >= MAX_STREAMS:
            return JSONResponse({"error": f"{MAX_STREAMS} streams are open; try again"}, 503, {"Retry-After": "5"})
        after = request.headers.get("last-event-id") or request.query_params.get("after", "")
        events = service.hub.stream(symbol, interval, after, random.random())  # noqa: S311  # no secret
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    @app.get("/api/coverage")
    async def coverage(request: Request) -> Response:
        return _json(await service.coverage(Asked(request).symbol()))

    @app.get("/api/export")
    async def export(request: Request) -> Response:
        asked = Asked(request)
        symbol, interval = asked.symbol(), asked.interval()
        start, end = asked.time("start"), asked.time("end")
        asked.ordered(start, end)
        kind = asked.choice("format", {"csv": "csv", "parquet": "parquet"}, "csv")
        if interval and (end - start) // interval > EXPORT_BARS:
            raise InputError(f"an export holds at most {EXPORT_BARS} bars, got {(end - start) // interval}")
        async with exporting:
            view = await service.cache.view(symbol, start, end, interval, limit=EXPORT_BARS if interval else MAX_BARS)
            if not view.is_whole:  # a file cannot say so
                return JSONResponse({"error": f"history cannot be read now: {view.fault}"}, 503)
            content = await asyncio.to_thread(exported, view, kind)
        file = f"{symbol}-{_name(view.interval)}-{_stamp(start)}-{_stamp(end)}.{kind}"
        media = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}[kind]
        return Response(content, media_type=media, headers={"Content-Disposition": f'attachment; filename="{file}"'})

    @app.get("/api/{path:path}")
    async def unknown(path: str) -> Response:
        return JSONResponse({"error": f"there is no /api/{path[:40]}"}, 404)


class Asked:
    """The inputs of a request. Every method raises InputError."""

    def __init__(self, request: Request) -> None:
        self._given = request.query_params

    def symbol(self) -> str:
        """The symbol."""
        return self._parsed("symbol", parse_symbol, None)

    def interval(self) -> int | None:
        """Seconds of a bar; None leaves it to the server."""
        return self.choice("interval", {**INTERVALS, "auto": None}, "auto")

    def time(self, name: str, default: int | None = None) -> int:
        """Seconds since the epoch, UTC."""
        return self._parsed(name, _seconds, default)

    def choice(self, name: str, choices: dict[str, _T], default: str) -> _T:
        """One of the choices."""
        text = self._given.get(name, default)
        if text not in choices:
            raise InputError(f"{name} must be one of {', '.join(choices)}, got {text[:40]!r}")
        return choices[text]

    def ordered(self, start: int, end: int) -> None:
        """Hold that there is time between them."""
        if start >= end:
            raise InputError(f"start must be before end, got {start} and {end}")

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
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > SEARCH_END:
        raise ValueError(f"must be whole seconds since 1970, at most {SEARCH_END}, got {text!r}")
    return int(text)


def columns(view: View) -> dict[str, Any]:
    """A view as the page reads it: one list per column."""
    return {
        "symbol": view.symbol,
        "interval": _name(view.interval),
        "step": view.interval,
        "start": view.start,
        "end": view.end,
        "age_s": None if view.history_age_s is None else round(view.history_age_s),
        "fault": view.fault,
        "bars": {name: _list(view.bars[name]) for name in view.bars.schema.names},
    }


def _list(column: pa.ChunkedArray) -> Any:
    """A column for orjson. Amounts are written digit by digit, not as floats, and much faster than one by one."""
    if not pa.types.is_decimal(column.type):
        return column.to_pylist()
    digits = pc.replace_substring_regex(column.cast(pa.string()), r"\.?0+$", "")
    return orjson.Fragment(f"[{','.join(pc.fill_null(digits, 'null').to_pylist())}]")


def exported(view: View, kind: str) -> bytes:
    """The bars as a file: exact decimals, times in UTC, the status in its own word."""
    bars = view.bars
    table = pa.table(
        {
            "symbol": pa.array([view.symbol] * bars.num_rows, pa.string()),
            "open_time": pc.multiply(bars["t"], 1_000_000).cast(pa.timestamp("us", "UTC")),
            **{name: bars[name] for name in bars.schema.names if name not in ("t", "source", "doubt")},
            "status": pa.array([status_of(doubt) for doubt in bars["doubt"].to_pylist()], pa.string()),
            "source": bars["source"],
        }
    )
    sink = io.BytesIO()
    if kind == "parquet":
        pyarrow.parquet.write_table(table, sink)
    else:
        pyarrow.csv.write_csv(table, sink)
    return sink.getvalue()


def _name(interval: int) -> str:
    return next(name for name, seconds in INTERVALS.items() if seconds == interval)


def _stamp(seconds: int) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y%m%dT%H%M}"


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json", headers={"Cache-Control": "no-store"})
