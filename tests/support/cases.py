"""The conformance cases: one JSON file per question about candles, and each plane's form of it.

For the tests of every implementation. A case holds trades in matching order, or literal lines of a file where the
question is about the archive's format, and the exact answer. Answers are worked out by hand, never by the code under
test.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from bitcoin_pipeline.candle import Candle, Source, Status
from bitcoin_pipeline.ingests import SymbolDay
from bitcoin_pipeline.times import from_datetime, parse_day, parse_interval
from bitcoin_pipeline.trade import Reason, TakerSide, Trade, turnover_of

FOLDER: Final = Path(__file__).resolve().parents[1] / "conformance" / "cases"

ARCHIVE_HEADER: Final = (
    "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional,RPI"
)
"""The columns of files since September 2025."""


@dataclass(frozen=True, slots=True)
class CaseTrade:
    """One trade of a case. `at`: time of day as written; `price`, `size`: as written; `seq`: the live feed's."""

    trade_id: str
    at: str
    side: str
    price: str
    size: str
    seq: int


@dataclass(frozen=True, slots=True)
class Case:
    """One question and its answer; `name` is the name of its file.

    `trades`: in matching order, repeated ids included. `file_order`, `arrival`: positions in `trades`, in the order of
    the archive's file and in the order in which the live feed delivers them. `file`: the literal text of the archive
    file, in place of trades. `rejected`: (row of the file, reason). `lost_minutes`: (time of day, reason) of each
    minute that lacks all its rows. `unknown_form`: the start of the reason for which the whole file fails; empty when
    it does not. `candles` and `longer`: the expected rows, as written.
    """

    name: str
    question: str
    symbol: str
    day: dt.date
    planes: frozenset[str]
    trades: tuple[CaseTrade, ...]
    file_order: tuple[int, ...]
    arrival: tuple[int, ...]
    file: str | None
    duplicates: int
    rejected: tuple[tuple[int, Reason], ...]
    lost_minutes: tuple[tuple[str, Reason], ...]
    unknown_form: str
    candles: tuple[Mapping[str, Any], ...]
    longer: Mapping[str, tuple[Mapping[str, Any], ...]]

    @property
    def symbol_day(self) -> SymbolDay:
        """The file that this case is about."""
        return SymbolDay(self.symbol, self.day)

    def archive_text(self) -> str:
        """The archive file of the case, uncompressed."""
        if self.file is not None:
            return self.file
        rows = [self._archive_row(self.trades[place]) for place in self.file_order]
        return "".join(f"{line}\n" for line in (ARCHIVE_HEADER, *rows))

    def archive_gzip(self) -> bytes:
        """The archive file of the case as Bybit publishes it."""
        return gzip.compress(self.archive_text().encode(), mtime=0)

    def live_trades(self) -> list[Trade]:
        """The case's trades in order of arrival, in the live plane's form, repeated ids included."""
        return [self._live_trade(self.trades[place]) for place in self.arrival]

    def expected_minutes(self, source: Source) -> list[Candle]:
        """The exact 1-minute candles."""
        return [self._candle(row, source) for row in self.candles]

    def expected_lost_minutes(self) -> dict[int, Reason]:
        """The minutes that lack all their rows, by open time (us)."""
        return {self._time_us(at): reason for at, reason in self.lost_minutes}

    def expected_longer(self, source: Source) -> dict[int, list[Candle]]:
        """The exact longer candles, by interval in microseconds."""
        return {parse_interval(text): [self._candle(row, source) for row in rows] for text, rows in self.longer.items()}

    def _time_us(self, at: str) -> int:
        return from_datetime(dt.datetime.combine(self.day, dt.time.fromisoformat(at), dt.UTC))

    def _archive_row(self, trade: CaseTrade) -> str:
        _, point, fraction = trade.at.partition(".")
        seconds = f"{self._time_us(trade.at) // 1_000_000}{point}{fraction}"
        # Columns that no reader may use hold values that would change the result.
        return (
            f"{seconds},{self.symbol},{trade.side},{trade.size},{trade.price},"
            f"ZeroMinusTick,{trade.trade_id},2.4725004e+11,nan,-1,0"
        )

    def _live_trade(self, trade: CaseTrade) -> Trade:
        price, size, side = Decimal(trade.price), Decimal(trade.size), TakerSide(trade.side)
        time_us = self._time_us(trade.at)
        order = (trade.seq, price if side is TakerSide.BUY else -price, trade.trade_id)
        return Trade(
            self.symbol, trade.trade_id, time_us, price, size, side, turnover_of(self.symbol, price, size), order
        )

    def _candle(self, row: Mapping[str, Any], source: Source) -> Candle:
        return Candle(
            symbol=self.symbol,
            open_time_us=self._time_us(row["open_time"]),
            source=source,
            open=Decimal(row["open"]),
            high=Decimal(row["high"]),
            low=Decimal(row["low"]),
            close=Decimal(row["close"]),
            volume=Decimal(row["volume"]),
            turnover=Decimal(row["turnover"]),
            trade_count=row["trade_count"],
            buy_volume=Decimal(row["buy_volume"]),
            buy_turnover=Decimal(row["buy_turnover"]),
            first_trade_id=trade_id(row["first_trade"]),
            last_trade_id=trade_id(row["last_trade"]),
            status=Status(row["status"]),
        )


def trade_id(number: int) -> str:
    """The id of the trade that has this `number` in a case."""
    return str(UUID(int=number))


def load_cases(plane: str = "archive") -> list[Case]:
    """Every case for `plane` (`archive` or `live`), by name.

    Raises ValueError, which names the file, for an invalid case.
    """
    cases = []
    for path in sorted(FOLDER.glob("*.json")):
        try:
            cases.append(parse_case(path.stem, json.loads(path.read_text("utf-8"))))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path.name}: {error!r}") from error
    return [case for case in cases if plane in case.planes]


def parse_case(name: str, content: dict[str, Any]) -> Case:
    """The case in the content of a JSON file. Raises ValueError or KeyError for unknown, missing or invalid parts."""
    _hold_keys(
        content,
        {"question", "symbol", "date", "planes", "candles"},
        {
            "timeline",
            "trades",
            "file_order",
            "arrival",
            "file",
            "duplicates",
            "rejected",
            "longer",
            "lost_minutes",
            "unknown_form",
        },
    )
    planes = frozenset(content["planes"])
    if not planes or not planes <= {"archive", "live"}:
        raise ValueError(f"planes are archive and live, got {sorted(planes)}")
    if ("trades" in content) == ("file" in content):
        raise ValueError("a case has either trades or a file")
    trades = tuple(_trade(place, item) for place, item in enumerate(content.get("trades", ())))
    given = list(range(len(trades)))
    file_order, arrival = (tuple(content.get(key, given)) for key in ("file_order", "arrival"))
    if sorted(file_order) != given or sorted(arrival) != given:
        raise ValueError(f"file_order and arrival hold each of 0 to {len(trades) - 1} once")
    case = Case(
        name=name,
        question=content["question"],
        symbol=content["symbol"],
        day=parse_day(content["date"]),
        planes=planes,
        trades=trades,
        file_order=file_order,
        arrival=arrival,
        file=_file(content["file"]) if "file" in content else None,
        duplicates=content.get("duplicates", 0),
        rejected=tuple((item["row"], Reason(item["reason"])) for item in content.get("rejected", ())),
        lost_minutes=tuple((item["open_time"], Reason(item["reason"])) for item in content.get("lost_minutes", ())),
        unknown_form=content.get("unknown_form", ""),
        candles=tuple(_candle_row(row) for row in content["candles"]),
        longer={
            interval: tuple(_candle_row(row) for row in rows) for interval, rows in content.get("longer", {}).items()
        },
    )
    if "live" in planes:
        _hold_live(case)
    return case


def _trade(place: int, item: dict[str, Any]) -> CaseTrade:
    _hold_keys(item, {"id", "at", "side", "price", "size"}, {"seq"})
    return CaseTrade(
        trade_id(item["id"]), item["at"], item["side"], item["price"], item["size"], item.get("seq", place)
    )


def _file(item: dict[str, Any]) -> str:
    """The text of `{"header": ..., "rows": [...]}` with its optional `line_end` and `last_line_end`."""
    _hold_keys(item, {"header", "rows"}, {"line_end", "last_line_end"})
    line_end: str = item.get("line_end", "\n")
    last: str = item.get("last_line_end", line_end)
    return line_end.join((item["header"], *item["rows"])) + last


def _candle_row(row: dict[str, Any]) -> dict[str, Any]:
    _hold_keys(
        row,
        {"open_time", "open", "high", "low", "close", "volume", "turnover", "trade_count"}
        | {"buy_volume", "buy_turnover", "first_trade", "last_trade", "status"},
        set(),
    )
    return row


def _hold_live(case: Case) -> None:
    """Raises ValueError for a case of the live plane that the live feed could not deliver."""
    if case.file is not None or case.rejected:
        raise ValueError("a case of the live plane has trades and none of them rejected")
    for trade in case.trades:
        if len(trade.at.partition(".")[2]) > 3:
            raise ValueError(f"the live feed has milliseconds, got {trade.at}")


def _hold_keys(content: dict[str, Any], needed: set[str], optional: set[str]) -> None:
    missing, unknown = needed - content.keys(), content.keys() - needed - optional
    if missing or unknown:
        raise ValueError(f"missing {sorted(missing)}, unknown {sorted(unknown)}")
