"""Bybit's REST calls that the live feed requests, over HTTP at a permitted pace.

Part of the producer.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, TypeVar

import aiohttp
import orjson

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.bybit.rest import TOO_MANY_VISITS, EnvelopeError
from bitcoin_pipeline.live.actions import Request
from bitcoin_pipeline.live.rest_calls import call_of

TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
CONCURRENT_CALLS: Final = 10
"""Upper bound on the calls under way; further ones wait."""
SPACING_S: Final = 0.05
"""Seconds from one call to the next; Bybit permits 600 in 5 seconds to an address, and bans it for more."""
BAN_S: Final = 600.0
"""Length of a ban whose response states none."""
BAN_MOST_S: Final = 3600.0
"""Upper bound on the length of a ban that a response states."""

T = TypeVar("T")


class RestClient:
    """An async context manager over one HTTP session.

    A call that fails returns None; the log has one line when calls begin to fail, and one when they succeed again.
    While the exchange bans this address, calls return None without a request. `banned_s`: for how much longer.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._slots = asyncio.Semaphore(CONCURRENT_CALLS)
        self._next_at_s = 0.0
        self._fails = False
        self._banned_until_s = -math.inf

    @property
    def banned_s(self) -> int:
        """Seconds until the end of a ban, 0 where there is none."""
        return math.ceil(max(0.0, self._banned_until_s - time.monotonic()))

    async def __aenter__(self) -> RestClient:
        self._session = aiohttp.ClientSession(timeout=TIMEOUT, headers={"User-Agent": "bitcoin-pipeline/0.1"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._session.close()

    async def answer(self, request: Request) -> Any:
        """What `LiveFeed.answered` takes as the answer to the request."""
        return await self._call(*call_of(request))

    async def _call(self, path: str, query: Mapping[str, str], parse: Callable[[Any], T]) -> T | None:
        try:
            body = await self._get(path, query)
            answer = None if body is None else parse(orjson.loads(body))
        except aiohttp.ClientResponseError as error:
            self._note_failure(f"{path} answers {error.status}")
        except (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError) as error:
            self._note_failure(f"{path}: {error!r}")
        except EnvelopeError as error:
            self._note_failure(str(error))
        else:
            if self._fails and body is not None:
                self._fails = False
                log("INFO", "REST answers again")
            return answer
        return None

    async def _get(self, path: str, query: Mapping[str, str]) -> bytes | None:
        """The body of the answer; None while the address is banned."""
        async with self._slots:
            await self._wait_for_slot()
            if self.banned_s:
                return None
            async with self._session.get(self._url + path, params=query) as response:
                body = await response.read()
                if response.status in (403, 429) or _code_of(body) == TOO_MANY_VISITS:
                    self._ban(response.headers, response.status)
                    return None
                if response.status != 200:
                    raise aiohttp.ClientResponseError(response.request_info, response.history, status=response.status)
                return body

    def _ban(self, headers: Mapping[str, str], status: int) -> None:
        seconds = ban_seconds(headers, time.time())
        self._banned_until_s = time.monotonic() + seconds
        self._fails = True
        log("ERROR", "banned by the exchange", status=status, seconds=math.ceil(seconds))

    async def _wait_for_slot(self) -> None:
        if self.banned_s:
            return
        now_s = asyncio.get_running_loop().time()
        slot_at_s, self._next_at_s = max(now_s, self._next_at_s), max(now_s, self._next_at_s) + SPACING_S
        await asyncio.sleep(slot_at_s - now_s)

    def _note_failure(self, reason: str) -> None:
        if not self._fails:
            self._fails = True
            log("WARNING", "REST fails", reason=reason)


def ban_seconds(headers: Mapping[str, str], now_s: float) -> float:
    """For how long no call may be made, by the headers of a refusal; BAN_S if they state no credible time."""
    after, reset = headers.get("Retry-After", ""), headers.get("X-Bapi-Limit-Reset-Timestamp", "")
    if re.fullmatch("[0-9]{1,5}", after):
        return min(float(after), BAN_MOST_S)
    if re.fullmatch("[0-9]{13}", reset) and 0 <= (seconds := int(reset) / 1000 - now_s) <= BAN_MOST_S:
        return seconds
    return BAN_S


def _code_of(body: bytes) -> int | None:
    """The `retCode` of an answer, without reading a long one whole."""
    found = re.match(rb'\s*\{\s*"retCode"\s*:\s*([0-9]+)', body[:100])
    return int(found[1]) if found else None
