"""A backlog of the topic `trades` as the producer writes it, and the judgement of every row that Flink makes of it.

Of ten minutes of a symbol one has a late trade, which a second record of the minute counts, and one has a gap, whose
trades are sent in the minute after. Of 97 trades one is sent twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

import psycopg

from bitcoin_pipeline.bybit.frames import PlainTrade, parse_trade
from bitcoin_pipeline.candle import COMPLETE, Status
from bitcoin_pipeline.live.records import Gap, GapState, Minute, encoded_trade, gap_record, minute_record
from bitcoin_pipeline.times import MINUTE_US, SECOND_US, from_datetime, iso
from local.exchange.synthetic.second import synthetic_second

_REPEATED: Final = 97

_KEEP_WRITES: Final = """
CREATE TABLE candle_writes AS
SELECT symbol, open_time, trade_count, volume, turnover, status, confirmed FROM candles LIMIT 0;
CREATE FUNCTION keep_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO candle_writes
  VALUES (NEW.symbol, NEW.open_time, NEW.trade_count, NEW.volume, NEW.turnover, NEW.status, NEW.confirmed);
  RETURN NULL;
END
$$;
CREATE TRIGGER keep_write AFTER INSERT OR UPDATE ON candles FOR EACH ROW EXECUTE FUNCTION keep_write();
"""

_FORGET_WRITES: Final = """
DROP TRIGGER keep_write ON candles;
DROP FUNCTION keep_write;
DROP TABLE candle_writes;
"""


class Write(NamedTuple):
    """Values of a row of `candles` after a write."""

    symbol: str
    open_time_us: int
    trade_count: int
    volume: Decimal
    turnover: Decimal
    status: Status
    confirmed: bool

    def __str__(self) -> str:
        confirmed = "confirmed" if self.confirmed else "not confirmed"
        return f"{self.symbol} {iso(self.open_time_us)} {self.status}, {confirmed}, with {self.trade_count} trades"


@dataclass
class Backlog:
    """Synthetic trades of some symbols from `start_us`, the start of a minute. `rate`: trades a second of a symbol.

    `minutes`: the records of each symbol and minute, in order, and `trade_count`: the number of distinct trades, when
    `records` has returned all.
    """

    symbols: Sequence[str]
    start_us: int
    minute_count: int
    rate: float
    minutes: dict[tuple[str, int], list[Minute]] = field(default_factory=lambda: defaultdict(list))
    trade_count: int = 0

    def records(self) -> Iterator[tuple[str, bytes]]:
        """Symbol and record, in the order of the topic. A minute's record comes right after its last trade."""
        held: dict[str, list[PlainTrade]] = {symbol: [] for symbol in self.symbols}
        for number in range(self.minute_count + 1):
            open_us = self.start_us + number * MINUTE_US
            for symbol in self.symbols:
                yield from self._made_good(symbol, open_us - MINUTE_US, held[symbol])
                trades = self._trades(symbol, open_us) if number < self.minute_count else []
                held[symbol] = self._held(trades, number)
                sent = [trade for trade in trades if trade not in held[symbol]] if held[symbol] else trades
                yield from self._sent(symbol, sent)
                if held[symbol] and self._has_gap(number):
                    yield symbol, gap_record(self._gap(symbol, open_us, GapState.OPENED))
                if sent:
                    yield self._counted(symbol, open_us, sent, is_whole=not held[symbol])

    def status(self, open_us: int) -> Status:
        """The status of a minute at the end."""
        return Status.REPAIRED if self._has_gap((open_us - self.start_us) // MINUTE_US) else Status.FINAL

    def _trades(self, symbol: str, open_us: int) -> list[PlainTrade]:
        found = []
        for second in range(open_us // SECOND_US, (open_us + MINUTE_US) // SECOND_US):
            for item in synthetic_second(symbol, second, self.rate, seed=0):
                trade = parse_trade(symbol, item)
                assert isinstance(trade, PlainTrade)
                found.append(trade._replace(received=None))
        self.trade_count += len(found)
        return found

    def _held(self, trades: list[PlainTrade], number: int) -> list[PlainTrade]:
        """The trades of a minute that are sent after its first record."""
        if self._has_gap(number):
            return trades[len(trades) // 3 : len(trades) // 2]
        return trades[1:2] if number % 10 == 3 else []

    def _has_gap(self, number: int) -> bool:
        return number % 10 == 7

    def _made_good(self, symbol: str, open_us: int, held: list[PlainTrade]) -> Iterator[tuple[str, bytes]]:
        if not held:
            return
        yield from self._sent(symbol, held)
        yield self._counted(symbol, open_us, held, is_whole=True)
        if self._has_gap((open_us - self.start_us) // MINUTE_US):
            yield symbol, gap_record(self._gap(symbol, open_us, GapState.CLOSED))

    def _sent(self, symbol: str, trades: list[PlainTrade]) -> Iterator[tuple[str, bytes]]:
        for number, trade in enumerate(trades, 1):
            yield symbol, encoded_trade(trade)
            if number % _REPEATED == 0:
                yield symbol, encoded_trade(trade)

    def _counted(self, symbol: str, open_us: int, more: list[PlainTrade], *, is_whole: bool) -> tuple[str, bytes]:
        """The record of a minute, whose sums are those of its last record and of `more`."""
        told = self.minutes[symbol, open_us]
        count, volume, turnover = (
            (told[-1].trade_count, told[-1].volume, told[-1].turnover) if told else (0, Decimal(0), Decimal(0))
        )
        volume = sum((Decimal(trade.size) for trade in more), volume)
        turnover = sum((Decimal(trade.turnover) for trade in more), turnover)
        minute = Minute(symbol, open_us, count + len(more), volume, turnover, is_whole)
        told.append(minute)
        return symbol, minute_record(minute)

    def _gap(self, symbol: str, open_us: int, state: GapState) -> Gap:
        return Gap(f"{symbol}-{open_us}", symbol, open_us + 20 * SECOND_US, open_us + 30 * SECOND_US, state)


def keep_writes(connection: psycopg.Connection) -> None:
    """Keep every later write of the table `candles` in the table `candle_writes`."""
    connection.execute(_KEEP_WRITES)
    connection.commit()


def forget_writes(connection: psycopg.Connection) -> None:
    """Remove what `keep_writes` has made."""
    connection.execute(_FORGET_WRITES)
    connection.commit()


def written(connection: psycopg.Connection, symbols: Sequence[str]) -> list[Write]:
    """The writes of complete candles of these symbols, in order of symbol and minute."""
    rows = connection.execute(
        """
        SELECT DISTINCT symbol, open_time, trade_count, volume, turnover, status, confirmed FROM candle_writes
        WHERE symbol = ANY(%s) AND status = ANY(%s) ORDER BY symbol, open_time, trade_count
        """,
        (list(symbols), list(COMPLETE)),
    ).fetchall()
    return [
        Write(symbol, from_datetime(opened), count, volume, turnover, Status(status), confirmed)
        for symbol, opened, count, volume, turnover, status, confirmed in rows
    ]


def faults(backlog: Backlog, writes: Sequence[Write]) -> list[str]:
    """The writes of complete candles whose trades are not those that a record of the minute counts.

    A minute with a gap is complete with all of its trades only. A confirmed candle has the sums of a confirmed record.
    """
    found = []
    for write in writes:
        records = backlog.minutes[write.symbol, write.open_time_us]
        allowed = records[-1:] if backlog.status(write.open_time_us) is Status.REPAIRED else records
        is_confirmed = (write.trade_count, write.volume, write.turnover) in {
            (record.trade_count, record.volume, record.turnover) for record in records if record.confirmed
        }
        if (
            write.trade_count not in {record.trade_count for record in allowed}
            or write.status is not backlog.status(write.open_time_us)
            or write.confirmed > is_confirmed
        ):
            found.append(f"{write}; its records count {[record.trade_count for record in records]}")
    return found
