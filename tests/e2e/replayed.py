"""The stack that replays recordings: days of the archive from a folder, and a capture at ten times its speed.

The capture has real and synthetic trades. The frames of each symbol are also played as other symbols: duplicated,
shuffled within two seconds, split, merged, all of these at once, and late. One more symbol trades once. The stack runs
in another time zone, in a folder with blanks in its name, with an exchange whose clock is months from the machine's.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bitcoin_pipeline.bybit.frames import to_trade
from bitcoin_pipeline.candle import Candle, Source, minute_candles
from bitcoin_pipeline.times import MS_US, floor_us
from bitcoin_pipeline.trade import Trade
from local.exchange.live.frames import frames_of
from local.exchange.synthetic.second import synthetic_second
from local.stack.supervision import stack_processes
from tests.support.command import Pipeline
from tests.support.disorder import DISORDERS, Arrival, Frame, interleaved, recorded

FIXTURES: Final = Path(__file__).parent.parent / "fixtures" / "bybit"
REAL_FILE: Final = FIXTURES / "BTCUSDT2020-03-25.csv.gz"
REVISED: Final = "BTCUSDT2020-03-31.csv.gz"
"""The file of the archive that a test revises."""
CAPTURE: Final = FIXTURES / "bybit_ws_v5_publicTrade_BTCUSDT_linear_2026-08-09_44s.jsonl"
FROM_MS: Final = 1_786_310_790_000
"""2026-08-09T21:26:30Z, half a minute before the real capture begins."""
UNTIL_MS: Final = FROM_MS + 290_000
SPEED: Final = 10
RATE: Final = 6.0
"""Trades a second of each synthetic symbol."""
BASES: Final = ("BTCUSDT", "ETHUSDT", "1000PEPEUSDT")
"""The symbols that are also played as others; the first has the real trades."""
QUIET: Final = "QUIETUSDT"
"""The symbol that trades once."""
LATE_MS: Final = 1500 * SPEED
"""Delay of late frames: more exchange time than passes between two heartbeats, of which there is one a second."""


def played_as(symbol: str, base: str, frames: Iterable[Frame]) -> list[Frame]:
    """The frames of `base` as frames of `symbol`, with other trade ids."""
    copies: list[Frame] = json.loads(json.dumps(list(frames)).replace(base, symbol))
    for frame in copies:
        for item in frame["data"]:
            item["i"] = f"{symbol.encode().hex()[:8]}{item['i'][8:]}"
    return copies


def market(base: str) -> list[Frame]:
    """The frames of a base symbol, in order."""
    if base == "BTCUSDT":
        return [json.loads(line) for line in CAPTURE.read_text().splitlines()]
    seconds = range(FROM_MS // 1000, UNTIL_MS // 1000)
    trades = (trade for second in seconds for trade in synthetic_second(base, second, RATE, seed=4))
    return [json.loads(frame.text) for frame in frames_of(base, trades)]


def some_late(frames: Iterable[Frame]) -> list[Arrival]:
    """Every second frame after the heartbeat that proves its time, and those of a minute's end after its record."""
    return [(frame["ts"] + number % 2 * LATE_MS, frame) for number, frame in enumerate(frames)]


def frames_by_symbol() -> dict[str, list[tuple[int, Frame]]]:
    """The frames of every symbol with their times of arrival."""
    only = {"T": FROM_MS, "s": QUIET, "S": "Buy", "v": "0.5", "p": "101.25", "L": "PlusTick", "seq": 1}
    only |= {"i": "00000000-0000-5000-8000-000000000001", "BT": False, "RPI": False}
    found = {QUIET: [(FROM_MS, {"topic": f"publicTrade.{QUIET}", "type": "snapshot", "ts": FROM_MS, "data": [only]})]}
    for base in BASES:
        frames = market(base)
        found[base] = recorded(frames)
        for word, disorder in FORMS.items():
            symbol = f"{word}{base}"
            found[symbol] = disorder(played_as(symbol, base, frames))
    return found


FORMS: Final = DISORDERS | {"LATE": some_late}
SYMBOLS: Final = [symbol for base in BASES for symbol in (base, *(f"{word}{base}" for word in FORMS))]


@dataclass(frozen=True, slots=True)
class Played:
    """The stack that is up. `archive`: the folder that it serves; `arrivals`: the frames of each symbol."""

    pipeline: Pipeline
    archive: Path
    arrivals: dict[str, list[tuple[int, Frame]]]
    up: tuple[str, ...]
    """The arguments of the `pipeline` command that started it."""


@contextmanager
def played(folder: Path, backing: str) -> Iterator[Played]:
    """The stack, up until the end of the context, after which no process of it may run."""
    archive, capture = folder / "archive", folder / "frames.jsonl"
    arrivals = frames_by_symbol()
    frames = interleaved(arrival for its in arrivals.values() for arrival in its)
    capture.write_text("".join(json.dumps(frame) + "\n" for frame in frames))
    write_archive(archive)
    pipeline = Pipeline(folder / "a home with blanks", TZ="Asia/Tokyo")
    up = ("up", "--archive-dir", str(archive), "--capture", str(capture), "--speed", str(SPEED), "--backing", backing)
    try:
        pipeline.done(*up)
        yield Played(pipeline, archive, arrivals, up)
    finally:
        pipeline.done("down", "--remove-data")
        assert stack_processes(pipeline.home) == []


def write_archive(folder: Path) -> None:
    """Write the archive: the real day; under later dates that file truncated, without rows, and with wrong rows."""
    folder.mkdir()
    real = REAL_FILE.read_bytes()
    shutil.copy(REAL_FILE, folder)
    (folder / "BTCUSDT2020-03-26.csv.gz").write_bytes(real[:60_000])
    header = gzip.decompress(real).split(b"\n")[0]
    (folder / "BTCUSDT2020-03-27.csv.gz").write_bytes(gzip.compress(header + b"\n"))
    (folder / REVISED).write_bytes(gzip.compress(b"\n".join(mostly_other_days_rows())))
    (folder / "notes.txt").write_text("not a file of the archive")


def mostly_other_days_rows() -> list[bytes]:
    """A header, two rows of 2020-04-06 and one of 2020-03-31."""
    lines = gzip.decompress(REAL_FILE.read_bytes()).replace(b"1585", b"1586").split(b"\n")[:4]
    return [*lines[:3], b",".join([b"1585612800", *lines[3].split(b",")[1:]])]


def exact(frames: Iterable[Frame]) -> list[Candle]:
    """The candles of all trades in the frames, each id once; the minute in which the feed began is partial."""
    trades: dict[str, Trade] = {}
    for frame in frames:
        for item in frame["data"]:
            trade = to_trade(item["s"], item)
            trades.setdefault(trade.trade_id, trade)
    return minute_candles(trades.values(), Source.LIVE, partial_minutes=[floor_us(FROM_MS * MS_US)])
