"""Bybit's REST calls that the feed asks for; a call that fails is None, told of when it begins and when it ends.

Part of the producer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

import aiohttp
import orjson

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.bybit.frames import MessageError, parse_recent_trades, parse_server_time

TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
AT_ONCE: Final = 10
"""Calls under way."""
SPACING_S: Final = 0.01
"""From one call to the next; 600 in 5 seconds are allowed to an address, and more get it banned."""


class Rest:
    """An async context manager over one HTTP session."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._next_at = 0.0
        self._fails = False

    async def __aenter__(self) -> Rest:
        self._session = aiohttp.ClientSession(timeout=TIMEOUT, headers={"User-Agent": "bitcoin-pipeline/0.1"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._session.close()

    async def server_time(self) -> int | None:
        """The exchange's clock, microseconds UTC."""
        envelope = await self._get("/v5/market/time", {})
        return None if envelope is None else self._parsed(parse_server_time, envelope)

    async def recent_trades(self, symbol: str, limit: int) -> list[Any] | None:
        """A symbol's last trades, at most `limit`, oldest first, as they stand in frames."""
        query = {"category": "linear", "symbol": symbol, "limit": str(limit)}
        envelope = await self._get("/v5/market/recent-trade", query)
        return None if envelope is None else self._parsed(parse_recent_trades, envelope)

    async def _get(self, path: str, query: Mapping[str, str]) -> Any:
        try:
            async with self._turns:
                await self._wait_for_slot()
                async with self._session.get(self._url + path, params=query) as response:
                    if response.status != 200:
                        return self._failed(f"{path} answers {response.status}")
                    return orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError) as error:
            return self._failed(f"{path}: {error!r}")

    async def _wait_for_slot(self) -> None:
        now = asyncio.get_running_loop().time()
        slot, self._next_at = max(now, self._next_at), max(now, self._next_at) + SPACING_S
        await asyncio.sleep(slot - now)

    def _parsed(self, parse: Any, envelope: Any) -> Any:
        try:
            parsed = parse(envelope)
        except MessageError as error:
            return self._failed(str(error))
        if self._fails:
            self._fails = False
            log("INFO", "REST answers again")
        return parsed

    def _failed(self, reason: str) -> None:
        if not self._fails:
            self._fails = True
            log("WARNING", "REST fails", reason=reason)
