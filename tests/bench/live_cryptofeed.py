"""cryptofeed's Bybit handler and its Kafka backend on the same frames, as a contender of `live_contenders`' manners.

Runs in an environment of its own (`.venv-bench`), so it imports nothing of ours: `python live_cryptofeed.py ADDRESS
FILE FRAMES`. Default settings, but for acknowledgements, which are made as safe as ours.
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
    """Bring the frames into the topic, and wait until the broker has them."""
    Symbols.set(BYBIT, {SYMBOL: "BTCUSDT"}, {"instrument_type": {SYMBOL: PERPETUAL}})  # else it asks the exchange
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
    """Say a word, and wait for a line."""
    print(word, flush=True)  # noqa: T201  # the other end of a pipe
    sys.stdin.readline()


def main() -> None:
    """Get ready, work, wait."""
    brokers, file, count = sys.argv[1:]
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with Path(file).open() as lines:
        texts = [line.rstrip("\n") for line in islice(lines, int(count))]
    uvloop.run(produce(brokers, texts))


if __name__ == "__main__":
    main()
