"""Days of the archive for the candles job's integration tests: files of every form, and rows that are no trades."""

from __future__ import annotations

import datetime as dt
import gzip
import uuid

from bitcoin_pipeline.ingests import SymbolDay, parse_symbol_day
from bitcoin_pipeline.times import day_start_us
from local.checkout import ROOT

REAL = parse_symbol_day("BTCUSDT:2020-03-25")
REAL_BYTES = (ROOT / "tests" / "fixtures" / "bybit" / "BTCUSDT2020-03-25.csv.gz").read_bytes()
OLD_HEADER = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
NEW_HEADER = f"{OLD_HEADER},RPI"


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def lines(item: SymbolDay, *trades: str, header: str = OLD_HEADER) -> list[str]:
    """The lines of a file from trades such as `60.5 Buy 0.1 100`: second of the day, side, size, price."""
    rows = []
    for number, trade in enumerate(trades):
        second, side, size, price = trade.split(" ")
        whole, point, fraction = second.partition(".")
        time = f"{day_start_us(item.day) // 1_000_000 + int(whole)}{point}{fraction}"
        rpi = ",0" if header == NEW_HEADER else ""
        rows.append(f"{time},{item.symbol},{side},{size},{price},PlusTick,{trade_id(item, number)},1e+11,1,1{rpi}")
    return [header, *rows]


def trade_id(item: SymbolDay, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{item}/{number}"))


def file(lines: list[str], line_end: str = "\n") -> bytes:
    return "".join(f"{line}{line_end}" for line in lines).encode()


FIVE = ("1 Buy 0.1 100", "1 Sell 0.2 99.5", "59.999999 Buy 1 101", "60 Sell 0.5 100.5", "86399.5 Buy 0.001 7")


def day(number: int) -> SymbolDay:
    return SymbolDay("BTCUSDT", dt.date(2024, 1, number))


def loading() -> dict[SymbolDay, bytes]:
    """Days that load: every form of the archive's files, rows for quarantine, and amounts of all magnitudes."""
    item = [day(number) for number in range(32) if number]
    plain = [file(lines(each, *FIVE)) for each in item]
    new = lines(item[3], *FIVE, header=NEW_HEADER)
    columns = [line.split(",") for line in lines(item[4], *FIVE)]
    extra = [f"{line},x" for line in lines(item[5], *FIVE)]
    half = len(plain[7]) // 2
    return {
        REAL: REAL_BYTES,
        item[0]: zipped(plain[0]),
        item[1]: zipped(file([OLD_HEADER, *reversed(lines(item[1], *FIVE)[1:])])),
        item[2]: zipped(file(lines(item[2], *FIVE[2:], *FIVE[:2]))),
        item[3]: zipped(file(new)),
        item[4]: zipped(file([",".join(reversed(line)) for line in columns])),
        item[5]: zipped(file(extra)),
        item[6]: zipped(file(lines(item[6], *FIVE), "\r\n")),
        item[7]: zipped(plain[7][:half]) + zipped(plain[7][half:]),
        item[8]: plain[8],
        item[9]: zipped(file(lines(item[9], *FIVE) + lines(item[9], *FIVE)[2:3])),
        BAD_DAY: zipped(file([*lines(BAD_DAY, *FIVE), *bad_rows()]).removesuffix(b"\n")),  # ends with half a line
        PARTLY_BAD: file(
            lines(PARTLY_BAD, "1 Buy 1 1", "60 Bid 1 1", "61 Buy 1 x", "120 Buy 1 1", "180 Buy 1 x", "240 Buy 0 1")
        ),
        **amounts(),
    }


BAD_DAY, ALL_BAD = day(20), day(21)
PARTLY_BAD = day(19)
"""A day with two minutes whose rows are all rejected, and one whose only row has size 0."""


def bad_rows() -> list[str]:
    """An invalid row of every kind."""
    good = lines(BAD_DAY, *FIVE)[1:]
    row = lines(BAD_DAY, *[FIVE[0]] * 20)[1:]  # with ids from number 5 on
    return [
        row[5].replace(str(day_start_us(BAD_DAY.day) // 1_000_000 + 1), "1704067200"),
        row[6].replace("BTCUSDT", "ETHUSDT"),
        *(row[7].replace(",100,", f",{price},") for price in ("0", "-1", "NaN", "inf", "0x10", "", "1e18", "1e-10")),
        *(row[8].replace(",0.1,", f",{size},") for size in ("0", "-1", "1_0", "1e30")),
        row[9].replace(trade_id(BAD_DAY, 9), "not-an-id"),
        row[10].replace("Buy", "buy"),
        f"{row[11]},0",
        row[12].rpartition(",")[0],
        row[13].replace("Buy", '"Buy'),
        row[14].replace("Buy", "B\0y"),
        row[15].replace("PlusTick", "Plus\0Tick"),  # in a column that is not read, so this row is a trade
        good[0].replace(",0.1,", ",0.3,"),
        "\0" * 50,
        row[16][:40],
    ]


PEPE = parse_symbol_day("1000PEPEUSDT:2024-01-01")
SOL = parse_symbol_day("SOLUSDT:2024-01-01")
DOGE = parse_symbol_day("DOGEUSDT:2024-01-01")
INVERSE = parse_symbol_day("BTCUSD:2024-01-01")


def amounts() -> dict[SymbolDay, bytes]:
    return {
        PEPE: file(lines(PEPE, "0 Buy 1000000000 0.0000123", "1 Sell 1000000001 1.24e-05")),
        SOL: file(lines(SOL, "0 Buy 0.1 77.31", "1 Buy 0.2 77.32")),
        DOGE: file(lines(DOGE, "0 Sell 1234567 0.07053")),
        INVERSE: file(lines(INVERSE, "0 Buy 1000 43000.5", "0 Sell 7 43000")),
    }


NO_TRADES = {day(22): b"", day(23): zipped(file([OLD_HEADER])), day(24): zipped(b"") + bytes(24)}
ABSENT, NEVER_PUBLISHED = day(28), day(29)
FAILING = {
    ALL_BAD: (
        zipped(file([OLD_HEADER, *bad_rows()[:3]])),
        "3 of 3 rows, 2 of them: other_day: '1704067200', as in row 0:",
    ),
    day(25): (zipped(file([NEW_HEADER.replace("price", "px")])), "header lacks price"),
    day(26): (REAL_BYTES[:-1], f"gzip ends too early, after {len(REAL_BYTES) - 1} bytes"),
    day(27): (REAL_BYTES[:-8] + bytes(8), "gzip is broken: "),
}
