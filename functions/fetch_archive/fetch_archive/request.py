"""The request of the function `fetch_archive`: which symbol and day its body names.

The function's modules and tests import it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from bitcoin_pipeline.ingests import SymbolDay
from bitcoin_pipeline.symbols import parse_symbol
from bitcoin_pipeline.times import parse_day

MAX_REQUEST: Final = 4096
"""Upper bound on the bytes of a request's body."""


class BadRequestError(ValueError):
    """A request that cannot be answered; the message names every fault."""


def parse_request(body: bytes) -> SymbolDay:
    """The symbol and day in a request's body. Raises BadRequestError."""
    if len(body) > MAX_REQUEST:
        raise BadRequestError(f"the body must be at most {MAX_REQUEST} bytes")
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequestError('the body must be JSON such as {"symbol": "BTCUSDT", "date": "2020-03-25"}') from None
    if not isinstance(request, dict):
        raise BadRequestError(f"the body must be a JSON object, got {body[:100].decode('utf-8', 'replace')}")
    faults = [f"{name} is missing" for name in ("symbol", "date") if name not in request]
    faults += [f"{name[:100]!r} is not known" for name in request if name not in ("symbol", "date")]
    values: dict[str, Any] = {}
    parsers: dict[str, Callable[[str], Any]] = {"symbol": parse_symbol, "date": parse_day}
    for name, parse in parsers.items():
        value = request.get(name, "")
        if not isinstance(value, str):
            faults.append(f"{name} must be a string, got {json.dumps(value)[:100]}")
        elif name in request:
            try:
                values[name] = parse(value)
            except ValueError as error:
                faults.append(f"{name}: {error}")
    if faults:
        raise BadRequestError("; ".join(faults))
    return SymbolDay(values["symbol"], values["date"])
