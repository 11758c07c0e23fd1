"""The clocks of a played market and the times of its frames, on clocks that the tests set and without sockets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from local.exchange.live.clocks import RecordedClock, WallClock
from local.exchange.live.frames import Frame, read_frame
from local.exchange.live.history import TradeHistory
from local.exchange.live.playback import Playback


@dataclass
class Recording:
    """A source with a frame at each of `times`."""

    times: tuple[int, ...]
    topics: frozenset[str] = frozenset({"publicTrade.BTCUSDT"})

    def frames(self, from_ms: int) -> Iterator[Frame]:
        return (Frame(f"frame of {time}", "publicTrade.BTCUSDT", time) for time in self.times)


@dataclass
class Receiver:
    received: list[str] = field(default_factory=list)
    room: int = 1_000_000

    def offer(self, frame: Frame) -> None:
        self.received.append(frame.text)

    def is_full(self) -> bool:
        return len(self.received) >= self.room

    def drop_if_stalled(self) -> None:
        pass

    def __hash__(self) -> int:
        return id(self)


class Market:
    """A playback of frames at 1000, 1500, 1500 and 3000 ms, with its monotonic clock and one listener."""

    def __init__(self, speed: float, folder: Path) -> None:
        self.seconds = 50.0
        clock = RecordedClock(1000, speed, lambda: self.seconds)
        recording = Recording((1000, 1500, 1500, 3000))
        self.playback = Playback(recording, clock, TradeHistory(folder), 1000, waits=speed == 0)
        self.receiver = Receiver()
        self.playback.listeners.add(self.receiver)

    def after(self, seconds: float) -> tuple[int, int]:
        """The exchange's time after `seconds` more, and the number of frames that were received by then."""
        self.seconds += seconds
        return self.playback.now_ms(), len(self.receiver.received)


def test_the_clock_stands_before_the_start_and_runs_on_after_the_end(tmp_path: Path) -> None:
    #  frames    1000   1500 x 2         3000
    #  received  1      3                4       then quiet, the clock goes on
    market = Market(1, tmp_path)
    assert market.after(100) == (1000, 0)
    market.playback.start()
    assert market.after(0) == (1000, 1)
    assert market.after(0.499) == (1499, 1)
    assert market.after(0.001) == (1500, 3)
    assert market.after(1.4) == (2900, 3)
    assert not market.playback.is_done
    assert market.after(0.1) == (3000, 4)
    assert market.playback.is_done
    assert market.after(60) == (63_000, 4)


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    market = Market(1, tmp_path)
    market.playback.start()
    market.after(0.3)
    market.playback.start()
    assert market.after(0) == (1300, 1)


def test_faster_than_recorded_it_is_at_real_time_after_the_end(tmp_path: Path) -> None:
    market = Market(100, tmp_path)
    market.playback.start()
    assert market.after(0.005) == (1500, 3)
    assert market.after(0.015) == (3000, 4)
    assert market.after(1) == (4000, 4)


def test_as_fast_as_possible_the_time_is_that_of_the_last_frame_played(tmp_path: Path) -> None:
    market = Market(0, tmp_path)
    market.receiver.room = 2
    assert market.after(9) == (1000, 0)
    market.playback.start()
    assert market.after(0) == (1500, 2)
    assert market.after(9) == (1500, 2)
    market.receiver.room = 10
    assert market.after(0) == (3000, 4)
    assert market.after(2) == (5000, 4)


def test_with_a_timetable_no_listener_is_waited_for(tmp_path: Path) -> None:
    market = Market(1, tmp_path)
    market.receiver.room = 1
    market.playback.start()
    assert market.after(5) == (3000, 4)


def test_the_clock_never_passes_a_frame_that_was_not_played(tmp_path: Path) -> None:
    seconds = 50.0
    clock = RecordedClock(0, 1, lambda: seconds)
    playback = Playback(Recording(tuple(range(1000))), clock, TradeHistory(tmp_path), 0, waits=False)
    playback.start()
    seconds += 10
    # Ten seconds late, as on a busy machine: every frame that was due is played before the answer.
    assert (playback.now_ms(), playback.frames_played) == (999, 1000)
    seconds += 1
    assert playback.now_ms() == 1999


def test_a_paused_market_pauses_its_clock(tmp_path: Path) -> None:
    market = Market(0, tmp_path)
    market.playback = Playback(
        Recording((1000, 1500, 1500, 3000)),
        RecordedClock(1000, 1, lambda: market.seconds),
        TradeHistory(tmp_path),
        1000,
        waits=True,
    )
    market.playback.listeners.add(market.receiver)
    market.playback.start()
    market.receiver.room = 1
    assert market.after(0.2) == (1200, 1)
    assert market.after(9) == (1500, 1)
    market.receiver.room = 9
    assert market.after(0) == (3000, 4)


def test_added_frames_are_played_at_their_time_after_the_end(tmp_path: Path) -> None:
    market = Market(1, tmp_path)
    market.playback.start()
    market.after(2)
    assert market.playback.free_from_ms() == 3001
    market.playback.add([Frame("a", "", 4000), Frame("b", "", 4500)])
    assert market.playback.free_from_ms() == 4501
    assert market.after(0.999) == (3999, 4)
    assert market.after(0.001) == (4000, 5)
    assert market.after(1) == (5000, 6)
    assert market.receiver.received[-2:] == ["a", "b"]


def test_the_synthetic_market_keeps_the_time_of_day_and_its_offset(tmp_path: Path) -> None:
    wall = 1_786_310_819.5
    clock = WallClock(lambda: wall, -3000)
    playback = Playback(Recording((1_786_310_817_000,)), clock, TradeHistory(tmp_path), 0, waits=False)
    playback.start()
    assert playback.now_ms() == 1_786_310_816_500
    assert clock.seconds_until(1_786_310_817_000) == pytest.approx(0.5)
    wall += 2
    assert playback.now_ms() == 1_786_310_818_500
    assert playback.frames_played == 1


@pytest.mark.parametrize(
    ("text", "topic", "time_ms", "items"),
    [
        ('{"topic":"publicTrade.BTCUSDT","ts":1700,"data":[{"T":1}]}', "publicTrade.BTCUSDT", 1700, ({"T": 1},)),
        ('{"topic":"publicTrade.BTCUSDT","ts":900,"data":[]}', "publicTrade.BTCUSDT", 1000, ()),
        ('{"topic":"kline.1.BTCUSDT","ts":1700,"data":[{"T":1}]}', "kline.1.BTCUSDT", 1700, ({"T": 1},)),
        ('{"topic":7,"ts":"x","data":3}', "", 1000, ()),
        ('{"topic":"publicTrade.BTCUSDT","data":{"T":1}}', "publicTrade.BTCUSDT", 1000, ()),
        ("[1]", "", 1000, ()),
        ('{"topic"', "", 1000, ()),
    ],
)
def test_a_recorded_line_is_a_frame_whatever_it_holds(
    text: str, topic: str, time_ms: int, items: tuple[dict[str, int], ...]
) -> None:
    expected = Frame(text, topic, time_ms, klines=items) if "kline" in topic else Frame(text, topic, time_ms, items)
    assert read_frame(text, 1000) == expected
