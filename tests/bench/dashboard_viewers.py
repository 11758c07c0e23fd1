"""Many viewers of one stream, in one process: `python -m tests.bench.dashboard_viewers URL VIEWERS SECONDS`.

Prints `reading` when all are connected and it counts, `over` when that has ended, and a line of JSON: bytes, bars and
errors of all viewers, and delays (ms) from the commit (bar_ms) and from the trade (trade_ms).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson


@dataclass
class Seen:
    """What all viewers have seen while it counts."""

    is_counting: bool = False
    is_over: bool = False
    bytes: int = 0
    bars: int = 0
    errors: int = 0
    bar_ms: list[float] = field(default_factory=list)
    trade_ms: list[float] = field(default_factory=list)


async def view(url: str, seen: Seen, connected: asyncio.Semaphore) -> None:
    """Read one stream until it is over."""
    parts = urlsplit(url)
    async with connected:  # not all at once: that is another question
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
        writer.write(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        if b" 200 " not in await reader.readline():
            seen.errors += 1
            return
    while not seen.is_over:
        line = await reader.readline()
        if not line:
            seen.errors += 1
            break
        if seen.is_counting:
            seen.bytes += len(line)
            if line.startswith(b"data: "):
                take(orjson.loads(line[6:]), seen)
    writer.close()


def take(event: dict[str, list[list[float]] | list[float]], seen: Seen) -> None:
    """Count an event."""
    now_ms = time.time_ns() / 1e6
    if bar := event.get("bar"):
        seen.bars += 1
        seen.bar_ms.append(now_ms - float(bar[-1]))  # type: ignore[arg-type]  # a bar is a list of numbers
    elif trades := event.get("trades"):
        seen.trade_ms.append(now_ms - float(trades[-1][0]))  # type: ignore[index]  # trades are lists


async def run(url: str, viewers: int, seconds: float) -> Seen:
    """All viewers for so long."""
    seen, connected = Seen(), asyncio.Semaphore(20)
    tasks = [asyncio.create_task(view(url, seen, connected)) for _ in range(viewers)]
    await asyncio.sleep(3 + viewers / 100)
    seen.is_counting = True
    sys.stdout.write("reading\n")
    sys.stdout.flush()
    await asyncio.sleep(seconds)
    seen.is_counting, seen.is_over = False, True
    sys.stdout.write("over\n")
    sys.stdout.flush()
    await asyncio.wait(tasks, timeout=20)
    return seen


def main() -> None:
    """Read, and print what was seen."""
    url, viewers, seconds = sys.argv[1:]
    seen = asyncio.run(run(url, int(viewers), float(seconds)))
    told = {name: getattr(seen, name) for name in ("bytes", "bars", "errors", "bar_ms", "trade_ms")}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
