"""The candles job on a real cluster: exact candles in any order, gaps, unreadable records, and killed processes."""

from __future__ import annotations

import json
import random
import threading
import urllib.request
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from bitcoin_pipeline.candle import Candle, Source, Status, minute_candles
from bitcoin_pipeline.live.records import Gap, GapState, gap_record, minute_record, read_trade, trade_record
from bitcoin_pipeline.times import DAY_US, MINUTE_US, SECOND_US, floor_us, from_datetime
from bitcoin_pipeline.trade import Reason, TakerSide, Trade, live_order, turnover_of
from local.waiting import wait_for
from tests.support.live import PATIENCE_SECONDS, LivePath, minutes_of

MS = 1_000
PRICES = {"BTCUSDT": "65114.20", "SOLUSDT": "77.31", "DOGEUSDT": "0.07053", "1000PEPEUSDT": "0.0000123"}


def synthetic(symbol: str, times_us: list[int], seed: int = 1) -> list[Trade]:
    """Synthetic trades at these times: ties of time and of seq, both sides, prices a few ticks apart."""
    rng = random.Random(f"{symbol}{seed}")
    base = Decimal(next((price for name, price in PRICES.items() if symbol.startswith(name)), "100.5"))
    tick = Decimal(1).scaleb(base.as_tuple().exponent)  # type: ignore[arg-type]  # finite
    trades = []
    for time_us in times_us:
        price, size = base + tick * rng.randrange(-9, 10), Decimal(rng.randrange(1, 10**6)).scaleb(-3)
        side, identity = rng.choice(list(TakerSide)), str(UUID(int=rng.getrandbits(128)))
        order = (time_us // (100 * MS), price if side is TakerSide.BUY else -price, identity)
        trades.append(Trade(symbol, identity, time_us, price, size, side, turnover_of(symbol, price, size), order))
    return trades


def spread(start_us: int, seconds: int, count: int, seed: int = 1) -> list[int]:
    """`count` times (us) in whole milliseconds, ascending, some of them equal."""
    rng = random.Random(seed)
    return sorted(start_us + rng.randrange(seconds * 1000) * MS for _ in range(count))


def play(live: LivePath, trades: list[Trade], rng: random.Random) -> None:
    """Send trades in disorder of up to two seconds, some twice, and the records of their minutes.

    A minute's record comes after its last trade; in the middle of a minute there may be one that counts what was sent
    till then.
    """
    arrivals: list[tuple[int, Trade]] = []
    for trade in trades:
        arrivals.append((trade.time_us + rng.randrange(2 * SECOND_US), trade))
        if rng.random() < 0.05:
            arrivals.append((trade.time_us + rng.randrange(2 * SECOND_US), trade))
    sent: dict[tuple[str, int], list[Trade]] = {}
    left = Counter((trade.symbol, floor_us(trade.time_us)) for _, trade in arrivals)
    for _, trade in sorted(arrivals, key=lambda item: item[0]):
        live.send_trades([trade])
        key = (trade.symbol, floor_us(trade.time_us))
        sent.setdefault(key, []).append(trade)
        left[key] -= 1
        if not left[key] or rng.random() < 0.002:
            live.close_minutes(minutes_of(sent[key]))


def test_any_order_gives_the_candles_of_the_core(live_path: LivePath) -> None:
    start_us = live_path.fresh_minute()
    trades = [trade for symbol in PRICES for trade in synthetic(f"{symbol}RANDOM", spread(start_us, 200, 1_000))]
    play(live_path, trades, random.Random(7))
    live_path.wait_for_candles(minute_candles(trades, Source.LIVE))


def test_a_minute_grows_and_its_record_closes_it(live_path: LivePath) -> None:
    """Neither a heartbeat beyond its end nor a trade of a later minute does."""
    start_us = live_path.fresh_minute()
    first, second, later = synthetic("GROWING", [start_us, start_us + 59_999 * MS, start_us + 3 * MINUTE_US])
    live_path.prove(start_us + 10 * MINUTE_US, "GROWING")
    live_path.send_trades([first])
    live_path.wait_for_candles(forming([first]))
    live_path.send_trades([second, later])
    live_path.prove(start_us + 10 * MINUTE_US, "GROWING")
    live_path.wait_for_candles(forming([first, second, later]))
    live_path.close_minutes(minutes_of([first, second]))
    live_path.wait_for_candles(minute_candles([first, second], Source.LIVE) + forming([later]))


def forming(trades: list[Trade]) -> list[Candle]:
    return [replace(candle, status=Status.FORMING) for candle in minute_candles(trades, Source.LIVE)]


def confirmed(candles: list[Candle]) -> list[Candle]:
    return [replace(candle, confirmed=True) for candle in candles]


def test_a_record_that_counts_more_trades_waits_for_them(live_path: LivePath) -> None:
    start_us = live_path.fresh_minute()
    first, second = synthetic("AWAITED", [start_us, start_us + SECOND_US])
    [both] = minutes_of([first, second], confirmed=True)
    [gap] = [Gap("AWAITED-1", "AWAITED", start_us, start_us + SECOND_US, GapState.OPENED)]
    live_path.close_minutes([both])
    # A repaired minute would be complete; the records of the gap follow that of the minute in one branch.
    live_path.send("AWAITED", gap_record(gap), gap_record(replace(gap, state=GapState.CLOSED)))
    live_path.send_trades([first])
    live_path.producer.flush(60)
    live_path.wait_for_candles(forming([first]))
    live_path.send_trades([first, second])
    live_path.producer.flush(60)
    whole = [replace(candle, status=Status.REPAIRED) for candle in minute_candles([first, second], Source.LIVE)]
    live_path.wait_for_candles(confirmed(whole))


def test_a_minute_is_confirmed_by_a_record_of_the_same_sums(live_path: LivePath) -> None:
    start_us = live_path.fresh_minute()
    first, late = synthetic("CHECKED", [start_us, start_us + SECOND_US])
    candles = minute_candles([first], Source.LIVE)
    [minute] = minutes_of([first], confirmed=True)
    live_path.send_trades([first])
    live_path.close_minutes([replace(minute, volume=minute.volume + 1)])
    live_path.wait_for_candles(candles)
    live_path.close_minutes([replace(minute, volume=minute.volume + 2, turnover=minute.turnover + 1)])
    live_path.close_minutes([replace(minute, volume=Decimal(10**28))])
    live_path.wait_for_candles(candles)
    # Of the same count the confirmed record stands, whichever comes last; a higher count replaces it.
    both = minute_candles([first, late], Source.LIVE)
    [amended] = minutes_of([first, late])
    live_path.send_trades([late])
    live_path.wait_for_candles(both)
    live_path.close_minutes([replace(amended, confirmed=True)])
    live_path.wait_for_candles(confirmed(both))
    live_path.close_minutes([amended])
    [more] = synthetic("CHECKED", [start_us + 2 * SECOND_US], seed=2)
    live_path.send_trades([more])
    live_path.close_minutes(minutes_of([first, late, more]))
    live_path.wait_for_candles(minute_candles([first, late, more], Source.LIVE))


def test_a_late_trade_amends_its_candle(live_path: LivePath) -> None:
    """However late: the producer judges lateness, once, so that a replay counts what was counted before."""
    start_us = live_path.fresh_minute()
    *in_time, late = synthetic("AMENDED", [start_us + 5 * SECOND_US, start_us + 6 * SECOND_US, start_us])
    live_path.send_trades(in_time)
    live_path.close_minutes(minutes_of(in_time, confirmed=True))
    live_path.prove(start_us + 120 * MINUTE_US, "AMENDED")
    live_path.wait_for_candles(confirmed(minute_candles(in_time, Source.LIVE)))
    live_path.send_trades([late])
    live_path.producer.flush(60)
    # Its record is not there yet, and the earlier one confirms other sums.
    live_path.wait_for_candles(minute_candles([*in_time, late], Source.LIVE))
    live_path.close_minutes(minutes_of([*in_time, late], confirmed=True))
    live_path.wait_for_candles(confirmed(minute_candles([*in_time, late], Source.LIVE)))


def test_a_gap_touches_every_minute_that_it_spans(live_path: LivePath) -> None:
    # trades   |0 x       |1 x       |2 x       |3 x       |4 x
    # gap a        [ away, later until .... ]
    # gap b                                                   [  ]  closed before its minute is over
    start_us = live_path.fresh_minute()
    trades = synthetic("GAPPY", [start_us + number * MINUTE_US for number in range(5)])
    others = synthetic("WHOLE", [trade.time_us for trade in trades])
    away = Gap("GAPPY-a", "GAPPY", start_us + 5 * SECOND_US, None, GapState.OPENED)
    bounded = replace(away, to_us=start_us + 2 * MINUTE_US)
    in_last = Gap("GAPPY-b", "GAPPY", start_us + 4 * MINUTE_US, start_us + 5 * MINUTE_US - MS, GapState.CLOSED)
    live_path.send_trades([*trades, *others])
    live_path.send("GAPPY", gap_record(away), gap_record(in_last))
    live_path.close_minutes(minutes_of(others))

    def expect(*statuses: Status) -> None:
        candles = minute_candles(trades, Source.LIVE)
        live_path.wait_for_candles(
            [replace(candle, status=status) for candle, status in zip(candles, statuses, strict=True)]
        )

    partial, forming, final, repaired = Status.PARTIAL, Status.FORMING, Status.FINAL, Status.REPAIRED
    expect(partial, forming, forming, forming, forming)
    live_path.close_minutes(minutes_of(trades[:4]))
    expect(partial, final, final, final, forming)
    live_path.send("GAPPY", gap_record(bounded))
    live_path.close_minutes(minutes_of(trades[4:]))
    expect(partial, partial, partial, final, repaired)
    live_path.send("GAPPY", gap_record(replace(bounded, state=GapState.CLOSED)))
    live_path.producer.flush(60)
    expect(repaired, repaired, repaired, final, repaired)
    # A later gap makes minutes partial again, whatever they were.
    later = Gap("GAPPY-c", "GAPPY", start_us + MINUTE_US, start_us + 3 * MINUTE_US, GapState.OPENED)
    live_path.send("GAPPY", gap_record(later))
    live_path.producer.flush(60)
    expect(repaired, partial, partial, partial, repaired)
    live_path.wait_for_candles(minute_candles(others, Source.LIVE))

    def stored() -> list[tuple[object, ...]]:
        query = "SELECT gap_id, from_time, to_time, state FROM gaps WHERE symbol = 'GAPPY' ORDER BY gap_id"
        return [
            (name, from_datetime(start), end and from_datetime(end), state)
            for name, start, end, state in live_path.rows(query)
        ]

    gaps = [replace(bounded, state=GapState.CLOSED), in_last, later]
    wanted = [(gap.gap_id, gap.from_us, gap.to_us, str(gap.state)) for gap in gaps]
    wait_for("the gaps in Postgres", lambda: stored() == wanted, PATIENCE_SECONDS)


@pytest.mark.parametrize(("symbol", "days"), [("LONG", 7), ("LONGER", 30)])
def test_a_gap_of_days_touches_the_minutes_that_the_topic_keeps(live_path: LivePath, symbol: str, days: int) -> None:
    start_us = live_path.fresh_day() + 7 * DAY_US
    first, last, outside = synthetic(symbol, [start_us - 7 * DAY_US, start_us, start_us + MINUTE_US])
    gap = Gap(f"{symbol}-1", symbol, start_us - days * DAY_US, start_us, GapState.OPENED)
    live_path.send_trades([first, last, outside])
    live_path.send(symbol, gap_record(gap))
    live_path.close_minutes(minutes_of([first, last, outside]))
    candles = minute_candles([first, last, outside], Source.LIVE)
    touched = [replace(candle, status=Status.PARTIAL) for candle in candles[:2]]
    live_path.wait_for_candles([*touched, candles[2]])


def test_heartbeats_become_the_feeds_status(live_path: LivePath) -> None:
    start_us = live_path.fresh_minute()
    live_path.prove(start_us + 1 * MS, "STATUSA", "STATUSB")
    live_path.prove(start_us + 2 * MS, "STATUSA")
    query = "SELECT symbol, proven_until, lag_ms, reconnects FROM feed_status WHERE symbol LIKE %s ORDER BY symbol"

    def stored() -> list[tuple[object, ...]]:
        return [(symbol, from_datetime(at), *rest) for symbol, at, *rest in live_path.rows(query, "STATUS_")]

    wanted = [("STATUSA", start_us + 2 * MS, 250, 1), ("STATUSB", start_us + 1 * MS, 250, 1)]
    wait_for("the feed's status", lambda: stored() == wanted, PATIENCE_SECONDS)


def test_what_cannot_be_counted_is_set_aside_with_its_reason_and_stops_nothing(live_path: LivePath) -> None:
    start_us = live_path.fresh_minute()
    [good] = synthetic("POISONED", [start_us])
    good_record = trade_record(good, 5)

    def with_other(**fields: object) -> bytes:
        return json.dumps({**json.loads(good_record), **fields}).encode()

    heartbeat = {"type": "heartbeat", "time": start_us, "symbols": ["POISONED"], "lag_ms": 0, "reconnects": 0}
    gap = {"type": "gap", "gap_id": "g", "symbol": "POISONED", "from": start_us, "to": start_us + 1, "state": "opened"}
    [counted] = minutes_of([good], confirmed=True)
    minute = json.loads(minute_record(counted))
    bad = [
        (b"garbage", "not_json"),
        (b'{"type":"trade","symbol":"POISONED"', "not_json"),
        (b"[1]", "not_json"),
        (b"", "not_json"),
        (None, "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"type":"candle"}', "unknown_type"),
        (b'{"type":"trade"}', "unreadable_symbol"),
        (with_other(symbol="POISON\0ED"), "unreadable_symbol"),  # Postgres has no such text
        (with_other(symbol="../USDT"), "unreadable_symbol"),
        (with_other(time=None), "unreadable_time"),
        (with_other(time=-1), "unreadable_time"),
        (with_other(time=2**63 - 1), "unreadable_time"),  # no date of Flink or Postgres
        (with_other(side="Both"), "unknown_side"),
        (with_other(price="65114.20x"), "unreadable_price"),
        (with_other(price=""), "unreadable_price"),
        (with_other(price="1e3"), "unreadable_price"),
        (with_other(price="NaN"), "unreadable_price"),
        (with_other(price="0.000"), "price_not_positive"),
        (with_other(price="-1"), "price_not_positive"),
        (with_other(price="1.0000000001"), "price_out_of_range"),
        (with_other(price="1234567890123456789"), "price_out_of_range"),
        (with_other(size="1" * 10_000), "size_out_of_range"),
        (with_other(size="0"), "size_not_positive"),
        (with_other(size="0.1 "), "unreadable_size"),
        (with_other(turnover="0.1234567891"), "turnover_out_of_range"),
        (with_other(turnover="123456789012345678901"), "turnover_out_of_range"),
        (with_other(turnover=None), "unreadable_turnover"),
        (with_other(id="\0"), "unreadable_trade_id"),
        (with_other(id=good.trade_id.upper() + "0"), "unreadable_trade_id"),
        (with_other(seq=-1), "unreadable_sequence"),
        (with_other(seq=2**63), "unreadable_sequence"),
        (json.dumps({**heartbeat, "time": "noon"}).encode(), "unreadable_heartbeat"),
        (json.dumps({**heartbeat, "time": 2**62}).encode(), "unreadable_heartbeat"),
        (json.dumps({**heartbeat, "symbols": ["POISONED", "\0"]}).encode(), "unreadable_heartbeat"),
        (json.dumps({**heartbeat, "symbols": [None]}).encode(), "unreadable_heartbeat"),
        (json.dumps({**gap, "from": "x"}).encode(), "unreadable_gap"),
        (json.dumps({**gap, "from": -(2**62)}).encode(), "unreadable_gap"),
        (json.dumps({**gap, "to": 2**62}).encode(), "unreadable_gap"),
        (json.dumps({**gap, "gap_id": "\0"}).encode(), "unreadable_gap"),
        (json.dumps({**gap, "state": "ajar"}).encode(), "unknown_state"),
        *(
            (json.dumps({**minute, **wrong}).encode(), "unreadable_minute")
            for wrong in (
                {"symbol": "\0"},
                {"open_time": None},
                {"open_time": start_us + 1},
                {"open_time": MINUTE_US * 2**40},
                {"trade_count": 0},
                {"trade_count": "two"},
                {"trade_count": 2**63},
                {"volume": None},
                {"volume": "1e3"},
                {"volume": "1" * 30},
                {"turnover": "-1"},
                {"turnover": "0.0000000001"},
                {"confirmed": None},
            )
        ),
    ]
    before = len(live_path.dead_letters())
    live_path.send("POISONED", *(record for record, _ in bad), good_record)
    live_path.close_minutes([counted])
    live_path.wait_for_candles(confirmed(minute_candles([good], Source.LIVE)))
    wait_for("the dead letters", lambda: len(live_path.dead_letters()) >= before + len(bad), PATIENCE_SECONDS, 1)
    found = [letter["reason"] for letter in live_path.dead_letters()[before:]]
    assert sorted(found) == sorted(reason for _, reason in bad)


def test_of_an_id_with_other_content_the_first_stands_and_the_other_is_set_aside(live_path: LivePath) -> None:
    start_us = live_path.fresh_minute()
    [first] = synthetic("TWICE", [start_us])
    others = [
        replace(first, price=first.price + 1),
        replace(first, size=first.size + 1),
        replace(first, time_us=first.time_us + MINUTE_US),
        replace(first, taker_side=TakerSide.SELL if first.taker_side is TakerSide.BUY else TakerSide.BUY),
    ]
    before = len(live_path.dead_letters())
    # The exact repeats, of which one has another seq, change nothing.
    live_path.send("TWICE", *(trade_record(trade, 5) for trade in (first, first, *others, first)))
    live_path.send("TWICE", trade_record(first, 6))
    live_path.close_minutes(minutes_of([first]))
    live_path.wait_for_candles(minute_candles([first], Source.LIVE))
    wait_for("the dead letters", lambda: len(live_path.dead_letters()) >= before + len(others), PATIENCE_SECONDS, 1)
    found = live_path.dead_letters()[before:]
    assert {letter["reason"] for letter in found} == {Reason.ID_WITH_OTHER_CONTENT}
    recorded = [read_trade(letter["record"].encode()) for letter in found]
    assert recorded == [
        replace(other, order=live_order(5, other.taker_side, other.price, other.trade_id)) for other in others
    ]


def test_the_password_of_postgres_shows_nowhere(live_path: LivePath) -> None:
    stack = live_path.stack
    password = (stack.stack.home / "postgres" / "pgpass").read_text().strip().rpartition(":")[2]
    assert len(password) == 32
    rest = stack.stack.url("flink_rest")
    job = page(f"{rest}/jobs/overview").partition('"jid":"')[2][:32]
    shown = [stack.log(name) for name in ("jobmanager", "taskmanager", "candles_job")]
    for path in (f"jobs/{job}", f"jobs/{job}/config", f"jobs/{job}/plan", "jobmanager/config"):
        shown.append(page(f"{rest}/{path}"))
    assert job and all(shown)
    assert not [text for text in shown if password in text]
    checkpoints = [path for path in (stack.stack.home / "flink").rglob("*") if path.is_file()]
    assert checkpoints
    assert not [path for path in checkpoints if password.encode() in path.read_bytes()]


def page(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  # the stack's own
        return answer.read().decode()  # type: ignore[no-any-return]


class Watch:
    """Reads the rows of some symbols repeatedly; `faults` names every row that went back or vanished."""

    def __init__(self, live: LivePath, symbols: list[str]) -> None:
        self.faults: list[str] = []
        self._live, self._symbols = live, symbols
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        last: dict[tuple[str, int], tuple[int, Status]] = {}
        while not self._stop.wait(0.2):
            found = self._live.candles(*self._symbols)
            for key in last.keys() - {(candle.symbol, candle.open_time_us) for candle in found}:
                self.faults.append(f"{key}: {last[key]} vanished")
            for candle in found:
                key, now = (candle.symbol, candle.open_time_us), (candle.trade_count or 0, candle.status)
                before = last.get(key, now)
                if now[0] < before[0] or now[1].rank < before[1].rank:
                    self.faults.append(f"{key}: {before} became {now}")
                last[key] = now


@pytest.mark.timeout(600)  # three restarts of a JVM and a submission, on a busy machine
def test_killed_flink_loses_and_doubles_nothing(live_path: LivePath) -> None:
    start_us, symbols = live_path.fresh_minute(), ["BTCUSDTKILLED", "DOGEUSDTKILLED", "SOLUSDTKILLED"]
    sent: list[Trade] = []
    rng = random.Random(11)
    with Watch(live_path, symbols) as watch:
        for phase, killed in enumerate(["", "taskmanager", "jobmanager", "candles_job"]):
            phase_us = start_us + phase * 2 * MINUTE_US
            trades = [
                trade for symbol in symbols for trade in synthetic(symbol, spread(phase_us, 110, 600, phase), phase)
            ]
            trades.sort(key=lambda trade: trade.time_us)
            play(live_path, trades[: len(trades) // 2], rng)
            if killed:
                live_path.stack.kill(killed)
            # The minute in which the halves meet has two records at least; the last of all counts it whole.
            play(live_path, trades[len(trades) // 2 :], rng)
            live_path.close_minutes(minutes_of(trades))
            if killed:
                live_path.stack.start(killed)
            sent += trades
            live_path.wait_for_candles(minute_candles(sent, Source.LIVE))
    assert watch.faults == []
