"""Faults of the live side: which are accepted, which are refused with which message, how long one lasts; garbage."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.exchange.live.faults import GARBAGE_KINDS, LiveFault, LiveFaults, parse_live_fault
from local.exchange.live.garbage import absurd_trade_text, garbage_text, wrong_kline_text
from local.exchange.shared.faults import FaultError

SYMBOLS = ["BTCUSDT", "ETHUSDT"]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"fault": "drop"}, LiveFault("drop")),
        ({"fault": "half_open", "seconds": 0.5}, LiveFault("half_open", seconds=0.5)),
        ({"fault": "no_pong"}, LiveFault("no_pong")),
        ({"fault": "refuse", "symbol": "ETHUSDT"}, LiveFault("refuse", symbol="ETHUSDT")),
        ({"fault": "garbage", "what": "malformed", "count": 3}, LiveFault("garbage", what="malformed", count=3)),
        ({"fault": "delay", "milliseconds": 700, "seconds": 5}, LiveFault("delay", milliseconds=700, seconds=5)),
        ({"fault": "silence", "symbol": None}, LiveFault("silence")),
        ({"fault": "absurd_time", "milliseconds": -(10**12)}, LiveFault("absurd_time", milliseconds=-(10**12))),
        ({"fault": "rest_down", "what": "hang"}, LiveFault("rest_down", what="hang")),
        ({"fault": "burst", "trades": 5000, "symbol": "BTCUSDT"}, LiveFault("burst", symbol="BTCUSDT", trades=5000)),
        ({"fault": "hold", "seconds": 20, "what": "trades"}, LiveFault("hold", what="trades", seconds=20)),
        ({"fault": "kline_wrong", "what": "less"}, LiveFault("kline_wrong", what="less")),
        ({"fault": "rest_stale", "milliseconds": 3000}, LiveFault("rest_stale", milliseconds=3000)),
        ({"fault": "rest_time", "milliseconds": 7_200_000}, LiveFault("rest_time", milliseconds=7_200_000)),
    ],
)
def test_a_fault_is_read_and_written_again(given: dict[str, Any], fault: LiveFault) -> None:
    assert parse_live_fault(given, SYMBOLS) == fault
    assert parse_live_fault(fault.as_json(), SYMBOLS) == fault


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fault": "drop", "seconds": 5}, "drop takes nothing, got seconds"),
        ({"fault": "burst", "trades": 5}, "burst needs symbol"),
        ({"fault": "burst", "trades": 0, "symbol": "BTCUSDT"}, "trades of burst is a whole number from 1 to 100000"),
        ({"fault": "delay", "milliseconds": -1}, "milliseconds of delay is a whole number from 0 to"),
        ({"fault": "delay", "milliseconds": True}, "got True"),
        ({"fault": "no_pong", "seconds": float("nan")}, "seconds of no_pong is a number from 0 to 86400, got nan"),
        ({"fault": "refuse", "symbol": "XUSDT"}, "symbol must be one of BTCUSDT, ETHUSDT, got 'XUSDT'"),
        ({"fault": "silence", "symbol": ["x"]}, "symbol must be one of"),
        ({"fault": "silence", "what": "orders"}, "what of silence is one of trades, klines, got 'orders'"),
        ({"fault": "hold"}, "hold needs seconds"),
        ({"fault": "late", "milliseconds": -1}, "milliseconds of late is a whole number from 0 to"),
        ({"fault": "rest_down", "what": "slow"}, "what of rest_down is one of close, hang, too_many_visits,"),
    ],
)
def test_a_wrong_fault_is_refused_with_what_is_valid(given: dict[str, Any], message: str) -> None:
    with pytest.raises(FaultError) as error:
        parse_live_fault(given, SYMBOLS)
    assert message in str(error.value)


def test_a_fault_lasts_as_long_as_set_for_the_symbol_that_it_names() -> None:
    now = 100.0
    faults = LiveFaults(lambda: now)
    faults.add(LiveFault("silence", symbol="ETHUSDT", seconds=5))
    faults.add(LiveFault("no_pong"))
    assert faults.get("silence", "ETHUSDT")
    assert faults.get("silence", "BTCUSDT") is None
    assert faults.get("silence") is None
    now = 104.0
    assert list(faults) == [LiveFault("silence", symbol="ETHUSDT", seconds=1.0), LiveFault("no_pong")]
    now = 105.0
    assert list(faults) == [LiveFault("no_pong")]
    faults.clear()
    assert faults.get("no_pong") is None


def test_the_latest_delay_counts_and_a_shuffle_stays_within_its_time() -> None:
    faults = LiveFaults(lambda: 0.0)
    assert (faults.delay_seconds(), faults.frame_delay_seconds("BTCUSDT", "trades")) == (0.0, 0.0)
    faults.add(LiveFault("delay", milliseconds=100))
    faults.add(LiveFault("delay", milliseconds=250))
    faults.add(LiveFault("shuffle", milliseconds=2000))
    assert faults.delay_seconds() == 0.25
    drawn = [faults.frame_delay_seconds("BTCUSDT", "trades") for _ in range(100)]
    assert 0 <= min(drawn) < 0.5
    assert 1.5 < max(drawn) <= 2


def test_frames_of_a_symbol_and_content_are_late_or_held_to_the_end_of_the_fault() -> None:
    now = 100.0
    faults = LiveFaults(lambda: now)
    faults.add(LiveFault("late", symbol="BTCUSDT", what="klines", milliseconds=600))
    faults.add(LiveFault("hold", what="trades", seconds=20))
    now = 105.0
    places = [(symbol, content) for symbol in SYMBOLS for content in ("trades", "klines")]
    assert [faults.frame_delay_seconds(*place) for place in places] == [0.0, 0.6, 0.0, 0.0]
    assert [faults.held_until(*place) for place in places] == [120.0, 0.0, 120.0, 0.0]
    assert list(faults)[1] == LiveFault("hold", what="trades", seconds=15.0)
    now = 120.0
    assert [faults.held_until(*place) for place in places] == [0.0, 0.0, 0.0, 0.0]


def test_garbage_is_what_its_name_says() -> None:
    texts = {kind: garbage_text(kind, "BTCUSDT", 1000) for kind in GARBAGE_KINDS}
    with pytest.raises(json.JSONDecodeError):
        json.loads(texts.pop("malformed"))
    read = {kind: json.loads(text) for kind, text in texts.items()}
    assert read["not_an_object"] == ["publicTrade.BTCUSDT", 1000]
    assert read["unknown_topic"]["topic"] == "rumours.BTCUSDT"
    assert read["missing_fields"]["data"] == [{"T": 1000, "s": "BTCUSDT", "S": "Buy", "v": "1"}]
    (trade,) = read["wrong_types"]["data"]
    assert (trade["T"], trade["p"], trade["S"]) == ("1000", 1.5, None)
    absurd = json.loads(absurd_trade_text("BTCUSDT", "5.5", 4_102_444_800_000))
    assert (absurd["ts"], absurd["data"][0]["T"], absurd["data"][0]["p"]) == (
        4_102_444_800_000,
        4_102_444_800_000,
        "5.5",
    )
    assert json.loads(absurd_trade_text("BTCUSDT", "5.5", -5))["data"][0]["T"] == 1


def test_a_wrong_kline_differs_in_volume_and_turnover_only() -> None:
    message = {"topic": "kline.1.BTCUSDT", "data": [{"close": "10.5", "volume": "0.3", "turnover": "3.15"}]}

    def wrong(how: str) -> list[dict[str, str]]:
        changed = json.loads(wrong_kline_text(json.dumps(message), how))
        assert changed["topic"] == "kline.1.BTCUSDT"
        return list(changed["data"])

    assert wrong("more") == [{"close": "10.5", "volume": "1.3", "turnover": "13.65"}]
    assert wrong("less") == [{"close": "10.5", "volume": "0.15", "turnover": "1.575"}]
