"""Faults of the exchange on the live path: no incomplete candle is ever final or repaired, and other symbols continue.

A synthetic capture is played at ten times its speed, so that a minute takes six seconds; lateness counts in the
exchange's time. At the start the exchange accepts connections and answers nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from bitcoin_pipeline.candle import Candle, Source, Status, minute_candles
from bitcoin_pipeline.times import MINUTE_US, SECOND_US, floor_us, iso
from local.exchange.live.frames import frames_of
from local.exchange.synthetic.profiles import SYMBOLS as MARKET
from local.exchange.synthetic.second import synthetic_second
from local.waiting import wait_for
from tests.support.live import LivePath
from tests.support.whole_path import WholePath

SYMBOLS: Final = tuple(symbol for symbol in MARKET if symbol != "1000PEPEUSDT")
REFUSED, *OTHERS = SYMBOLS
MINUTES: Final = 14
RATE: Final = 3.0
"""Trades a second of each symbol; at this rate the last thousand trades of REST reach five minutes back."""
SPEED: Final = 10
PATIENCE: Final = 120.0
WHOLE: Final = (Status.FINAL, Status.REPAIRED)


class Watch(threading.Thread):
    """Collects every candle from `start_us` on that was ever final or repaired in Postgres."""

    def __init__(self, stack: WholePath, start_us: int) -> None:
        super().__init__(daemon=True)
        self._stack = stack
        self._start_us = start_us
        self._ended = threading.Event()
        self.seen: set[Candle] = set()

    def run(self) -> None:
        while not self._ended.wait(0.2):
            found = self._stack.candles().values()
            self.seen |= {item for item in found if item.status in WHOLE and item.open_time_us >= self._start_us}

    def end(self) -> None:
        self._ended.set()
        self.join(PATIENCE)
        assert not self.is_alive()


@pytest.fixture
def from_us(live_path: LivePath) -> int:
    """The time at which the market begins: the middle of a minute, after the time that earlier tests have proven."""
    return live_path.fresh_minute() + MINUTE_US // 2


@pytest.fixture
def stack(live_path: LivePath, from_us: int, tmp_path: Path) -> Iterator[WholePath]:
    """A live path whose exchange is half-open from the first connection on, so that no frame has been played yet."""
    capture = tmp_path / "frames.jsonl"
    seconds = range(from_us // SECOND_US, from_us // SECOND_US + 60 * MINUTES)
    frames = [
        frame
        for symbol in SYMBOLS
        for frame in frames_of(
            symbol, (trade for second in seconds for trade in synthetic_second(symbol, second, RATE, seed=5))
        )
    ]
    frames.sort(key=lambda frame: frame.time_ms)
    capture.write_text("".join(f"{frame.text}\n" for frame in frames))
    with live_path.market(capture, SPEED) as stack:
        yield stack


# played   |....21:28 ..... refused ..... half-open ..... dropped ..... 21:40:30
# others   |  final   final   final   final   (late)  final   ...
@pytest.mark.timeout(600)
def test_no_candle_is_whole_that_is_not(stack: WholePath, from_us: int) -> None:
    start_us = floor_us(from_us)
    watch = Watch(stack, start_us)
    watch.start()
    try:
        stack.clear_faults()
        wait_for("the first whole minutes", whole(stack, start_us + MINUTE_US, *SYMBOLS), PATIENCE, 0.2)

        # One symbol is refused: the others continue.
        stack.fault("refuse", symbol=REFUSED)
        stack.fault("drop")
        minute_us = floor_us(stack.exchange_us()) + MINUTE_US
        wait_for("minutes of the other symbols", whole(stack, minute_us, *OTHERS), PATIENCE, 0.2)
        assert not whole(stack, minute_us, REFUSED)()
        stack.clear_faults()
        wait_for("minutes of every symbol", whole(stack, minute_us, *SYMBOLS), PATIENCE, 0.2)

        # The connection becomes half-open, as do new ones for a while; then it ends.
        for fault, parameters in (("half_open", {"seconds": 8}), ("drop", {})):
            minute_us = floor_us(stack.exchange_us()) + MINUTE_US
            stack.fault(fault, **parameters)
            wait_for(f"minutes after {fault}", whole(stack, minute_us + 2 * MINUTE_US, *SYMBOLS), PATIENCE, 0.2)

        end_us = floor_us(stack.exchange_us())
        wait_for("every minute to be closed", closed(stack, start_us, end_us), PATIENCE, 0.2)
    finally:
        watch.end()
    traded = [trade for symbol in SYMBOLS for trade in stack.traded(symbol, stack.exchange_us())]
    truth = {(item.symbol, item.open_time_us): item for item in minute_candles(traded, Source.LIVE)}
    wrong = [
        f"{item.symbol} {iso(item.open_time_us)} {item.status} with {item.trade_count} of {exact.trade_count} trades"
        for item in sorted(watch.seen, key=lambda item: (item.open_time_us, item.symbol))
        if item != replace(exact := truth[item.symbol, item.open_time_us], status=item.status)
    ]
    assert wrong == []
    assert len({(item.symbol, item.open_time_us) for item in watch.seen}) >= len(SYMBOLS) * 6
    doubtful = sorted(key for key, item in stack.candles().items() if item.status is Status.PARTIAL)
    assert [f"{symbol} {iso(time_us)}" for symbol, time_us in doubtful if time_us > start_us] == []


def whole(stack: WholePath, minute_us: int, *symbols: str) -> Callable[[], bool]:
    """A condition: this minute of these symbols is final or repaired."""

    def is_whole() -> bool:
        found = stack.candles()
        return all((item := found.get((symbol, minute_us))) and item.status in WHOLE for symbol in symbols)

    return is_whole


def closed(stack: WholePath, start_us: int, end_us: int) -> Callable[[], bool]:
    """A condition: no minute from `start_us` to `end_us` is missing or forming."""

    def is_closed() -> bool:
        found = stack.candles()
        minutes = range(start_us, end_us, MINUTE_US)
        rows = [found.get((symbol, minute_us)) for symbol in SYMBOLS for minute_us in minutes]
        return all(row is not None and row.status is not Status.FORMING for row in rows)

    return is_closed
