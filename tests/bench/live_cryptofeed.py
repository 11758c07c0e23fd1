"""cryptofeed's Bybit handler and its Kafka backend on the same frames, with the interface of `live_contenders`.

It runs in an environment of its own (`.venv-bench`), so it imports no module of the project: `python live_cryptofeed.py
ADDRESS FILE FRAMES`. Settings are the defaults, except for acknowledgements, which are as safe as the producer's.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import uvloop  # what cryptofeed runs on
from cryptofeed.backends.kafka import TradeKafka  # type: ignore[import-not-found]
from cryptofeed.defines import BYBIT, PERPETUAL, TRADES  # type: ignore[import-not-found]
from cryptofeed.exchanges import Bybit  # type: ignore[import-not-found]
from cryptofeed.symbols import Symbols  # type: ignore[import-not-found]

SYMBOL = "BTC-USDT-PERP"
URL = "wss://stream.bybit.com/v5/public/linear"


async def produce(brokers: str, texts: list[str]) -> None:
    """Send the frames to the topic, and wait until the broker has confirmed them."""
    Symbols.set(
        BYBIT, {SYMBOL: "BTCUSDT"}, {"instrument_type": {SYMBOL: PERPETUAL}}
    )  # without this it requests the symbols from the exchange
    backend = TradeKafka(bootstrap_servers=brokers, acks="all", enable_idempotence=True)
    feed = Bybit(symbols=[SYMBOL], channels=[TRADES], callbacks={TRADES: backend})
    backend.start(asyncio.get_running_loop())
    deadline = time.monotonic() + 60
    while not backend.running:
        if time.monotonic() > deadline:
            raise TimeoutError("cryptofeed's backend has not reached the broker in 60 s")
        await asyncio.sleep(0.01)
    connection = SimpleNamespace(address=URL, uuid="bench")
    obey("ready")
    for text in texts:
        await feed.message_handler(text, connection, time.time())
    await backend.queue.join()
    await backend.producer.flush()
    obey("done")
    await backend.stop()
    await backend.worker


def obey(word: str) -> None:
    """Write the line `word`, and wait for a line."""
    print(word, flush=True)  # noqa: T201  # the other end of a pipe
    sys.stdin.readline()


def main() -> None:
    """Read the frames, work, and wait, as `live_contenders` does."""
    brokers, file, count = sys.argv[1:]
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with Path(file).open() as lines:
        texts = [line.rstrip("\n") for line in islice(lines, int(count))]
    uvloop.run(produce(brokers, texts))


if __name__ == "__main__":
    main()
