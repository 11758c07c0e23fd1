"""Bybit's REST calls that the live feed requests, over HTTP at a permitted pace.

Part of the producer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, TypeVar

import aiohttp
import orjson

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.bybit.frames import ReceivedTrade
from bitcoin_pipeline.bybit.rest import (
    RECENT_TRADES_PATH,
    SERVER_TIME_PATH,
    EnvelopeError,
    parse_recent_trades,
    parse_server_time,
    recent_trades_query,
)

TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
CONCURRENT_CALLS: Final = 10
"""Upper bound on the calls under way; further ones wait."""
SPACING_S: Final = 0.01
"""Seconds from one call to the next; Bybit permits 600 in 5 seconds to an address, and bans it for more."""

T = TypeVar("T")


class RestClient:
    """An async context manager over one HTTP session.

    A call that fails returns None; the log has one line when calls begin to fail, and one when they succeed again.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._slots = asyncio.Semaphore(CONCURRENT_CALLS)
        self._next_at_s = 0.0
        self._fails = False

    async def __aenter__(self) -> RestClient:
        self._session = aiohttp.ClientSession(timeout=TIMEOUT, headers={"User-Agent": "bitcoin-pipeline/0.1"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._session.close()

    async def server_time(self) -> int | None:
        """The exchange's time, in microseconds UTC."""
        return await self._call(SERVER_TIME_PATH, {}, parse_server_time)

    async def recent_trades(self, symbol: str, limit: int) -> list[ReceivedTrade] | None:
        """A symbol's last trades, at most `limit`, oldest first."""
        query = recent_trades_query(symbol, limit)
        return await self._call(RECENT_TRADES_PATH, query, lambda envelope: parse_recent_trades(symbol, envelope))

    async def _call(self, path: str, query: Mapping[str, str], parse: Callable[[Any], T]) -> T | None:
        try:
            answer = parse(orjson.loads(await self._get(path, query)))
        except aiohttp.ClientResponseError as error:
            self._note_failure(f"{path} answers {error.status}")
        except (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError) as error:
            self._note_failure(f"{path}: {error!r}")
        except EnvelopeError as error:
            self._note_failure(str(error))
        else:
            if self._fails:
                self._fails = False
                log("INFO", "REST answers again")
            return answer
        return None

    async def _get(self, path: str, query: Mapping[str, str]) -> bytes:
        async with self._slots:
            await self._wait_for_slot()
            async with self._session.get(self._url + path, params=query) as response:
                if response.status != 200:
                    raise aiohttp.ClientResponseError(response.request_info, response.history, status=response.status)
                return await response.read()

    async def _wait_for_slot(self) -> None:
        now_s = asyncio.get_running_loop().time()
        slot_at_s, self._next_at_s = max(now_s, self._next_at_s), max(now_s, self._next_at_s) + SPACING_S
        await asyncio.sleep(slot_at_s - now_s)

    def _note_failure(self, reason: str) -> None:
        if not self._fails:
            self._fails = True
            log("WARNING", "REST fails", reason=reason)
