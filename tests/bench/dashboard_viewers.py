"""Many viewers of one stream, in one process: `python -m tests.bench.dashboard_viewers URL VIEWERS SECONDS`.

Prints `reading` when every viewer has received a bar and the counting begins, `over` when it has ended, and the fields
of `Seen` as a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

PATIENCE_S = 60


@dataclass
class Seen:
    """All that the viewers received while counting was on.

    `bytes`: all that TCP carried, HTTP's chunk headers included. `bar_ms`, `trade_ms`: delays from commit and trade.
    `forms`: [open time, close, trades] of each form of a bar that a viewer received.
    """

    begun: int = 0
    is_counting: bool = False
    is_over: bool = False
    bytes: int = 0
    errors: int = 0
    bar_ms: list[float] = field(default_factory=list)
    trade_ms: list[float] = field(default_factory=list)
    forms: set[tuple[int, float, int]] = field(default_factory=set)


async def view(url: str, seen: Seen, connecting: asyncio.Semaphore) -> None:
    """Read one stream until it is over."""
    parts = urlsplit(url)
    async with connecting:  # not all at once: that would measure the connecting
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
        writer.write(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        if b" 200 " not in await reader.readline():
            seen.errors += 1
    has_begun = False
    while not seen.is_over:
        line = await reader.readline()
        if not line:
            seen.errors += 1
            break
        if not has_begun and line.startswith(b'data: {"bar"'):  # the first piece is older than the stream
            has_begun = True
            seen.begun += 1
        if seen.is_counting:
            seen.bytes += len(line)
            if line.startswith(b"data: "):
                take(orjson.loads(line[6:]), seen)
    writer.close()


def take(event: dict[str, Any], seen: Seen) -> None:
    """Count an event."""
    now_ms = time.time_ns() / 1e6
    if bar := event.get("bar"):
        seen.bar_ms.append(now_ms - bar[-1])
        seen.forms.add((bar[0], bar[4], bar[7]))
    for trade in event.get("trades", ()):
        seen.trade_ms.append(now_ms - trade[0])


async def run(url: str, viewers: int, seconds: float) -> Seen:
    """Run all viewers for so many seconds."""
    seen, connecting = Seen(), asyncio.Semaphore(20)
    tasks = [asyncio.create_task(view(url, seen, connecting)) for _ in range(viewers)]
    async with asyncio.timeout(PATIENCE_S):
        while seen.begun < viewers:
            await asyncio.sleep(0.05)
    seen.is_counting = True
    sys.stdout.write("reading\n")
    sys.stdout.flush()
    await asyncio.sleep(seconds)
    seen.is_counting, seen.is_over = False, True
    sys.stdout.write("over\n")
    sys.stdout.flush()
    await asyncio.wait(tasks, timeout=PATIENCE_S)
    seen.errors += sum(not task.done() or task.exception() is not None for task in tasks)
    return seen


def main() -> None:
    """Run the viewers and print what they received."""
    url, viewers, seconds = sys.argv[1:]
    seen = asyncio.run(run(url, int(viewers), float(seconds)))
    found = {name: getattr(seen, name) for name in ("bytes", "errors", "bar_ms", "trade_ms")}
    sys.stdout.write(json.dumps({**found, "forms": sorted(seen.forms)}) + "\n")


if __name__ == "__main__":
    main()
