"""The session: one connection's text and time in, events out. Times are seconds; exchange time is EXCHANGE_US at 0."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bitcoin_pipeline.bybit.klines import Kline
from bitcoin_pipeline.bybit.session import Session
from bitcoin_pipeline.bybit.session_events import (
    Event,
    KlineClosed,
    KlinesRefused,
    KlinesSubscribed,
    PingDue,
    Pong,
    ProvenUpTo,
    Refused,
    Resubscribe,
    ServerTimeDue,
    Stale,
    Subscribed,
    Trades,
    Unknown,
)
from bitcoin_pipeline.bybit.session_times import SessionTimes
from bitcoin_pipeline.times import MS_US, SECOND_US, Instant

EXCHANGE_US = 1_786_310_790_000_000
"""2026-08-09T21:26:30Z, half a minute before a minute's end."""
START = Instant(0)
PONG = '{"success":true,"ret_msg":"pong","conn_id":"0970e817","req_id":"","op":"ping"}'


def instant(second: float) -> Instant:
    """The session's monotonic clock, which stands at 0 when the session begins."""
    return Instant(round(second * SECOND_US))


def at(second: float) -> int:
    """The exchange's time in microseconds."""
    return EXCHANGE_US + round(second * SECOND_US)


def answer(request: str, *, success: bool = True, ret_msg: str = "") -> str:
    req_id = json.loads(request)["req_id"]
    return json.dumps({"success": success, "ret_msg": ret_msg, "conn_id": "c", "req_id": req_id, "op": "subscribe"})


def frame(symbol: str, *seconds: float) -> str:
    items = [{"T": at(second) // MS_US} for second in seconds]
    return json.dumps(
        {"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": at(seconds[-1]) // MS_US, "data": items}
    )


def opened(*symbols: str) -> Session:
    """A session whose subscriptions were answered at 0, and whose clock was measured then."""
    session = Session(symbols, START, uniform=lambda: 1.0, times=SessionTimes(rest_alone_us=0))
    request, klines = session.subscribe(START)
    assert session.receive(answer(request), START) == [Subscribed(symbol) for symbol in symbols]
    assert session.receive(answer(klines), START) == [KlinesSubscribed(symbol) for symbol in symbols]
    assert session.tick(START) == [ServerTimeDue()]
    session.server_time(at(0), START, START)
    assert session.tick(Instant(1)) == []
    session.server_time(at(0.000001), START, Instant(1))  # a second answer that agrees
    return session


def proofs(events: list[Event]) -> list[tuple[float, str | None]]:
    return [((e.time_us - EXCHANGE_US) / SECOND_US, e.symbol) for e in events if isinstance(e, ProvenUpTo)]


def pings(session: Session, second: float) -> list[str]:
    return [event.text for event in session.tick(instant(second)) if isinstance(event, PingDue)]


# Subscriptions.


def test_one_request_carries_all_symbols() -> None:
    requests = Session(["BTCUSDT", "ETHUSDT"], START, uniform=lambda: 1.0).subscribe(START)
    assert requests == [
        '{"req_id":"1","op":"subscribe","args":["publicTrade.BTCUSDT","publicTrade.ETHUSDT"]}',
        '{"req_id":"2","op":"subscribe","args":["kline.1.BTCUSDT","kline.1.ETHUSDT"]}',
    ]


def test_very_many_symbols_take_more_requests() -> None:
    symbols = [f"S{number:04}USDT" for number in range(2000)]
    requests = Session(symbols, START, uniform=lambda: 1.0).subscribe(START)
    assert all(len(request) < 21_000 for request in requests)
    assert [topic for request in requests for topic in json.loads(request)["args"]] == [
        f"{kind}.{s}" for kind in ("publicTrade", "kline.1") for s in symbols
    ]


def test_a_refusal_of_many_requests_each_and_reports_the_bad_one() -> None:
    session = Session(["BTCUSDT", "NOUSDT"], START, uniform=lambda: 1.0)
    request, _ = session.subscribe(START)
    refusal = "error:handler not found,topic:publicTrade.NOUSDT"
    singles = session.receive(answer(request, success=False, ret_msg=refusal), START)
    texts = [event.text for event in singles if isinstance(event, Resubscribe)]
    assert [json.loads(text)["args"] for text in texts] == [["publicTrade.BTCUSDT"], ["publicTrade.NOUSDT"]]
    assert session.receive(answer(texts[0]), START) == [Subscribed("BTCUSDT")]
    assert session.receive(answer(texts[1], success=False, ret_msg=refusal), START) == [Refused("NOUSDT", refusal)]
    # Asked again after 1 s, then after 2.
    assert [event for event in session.tick(instant(0.9)) if isinstance(event, Resubscribe)] == []
    [again] = [event for event in session.tick(instant(1)) if isinstance(event, Resubscribe)]
    assert session.receive(answer(again.text, success=False), instant(1)) == [Refused("NOUSDT", "no reason given")]
    assert [event for event in session.tick(instant(2.9)) if isinstance(event, Resubscribe)] == []
    [again] = [event for event in session.tick(instant(3)) if isinstance(event, Resubscribe)]
    assert session.receive(answer(again.text), instant(3)) == [Subscribed("NOUSDT")]


def test_already_subscribed_is_as_good_as_accepted() -> None:
    session = Session(["BTCUSDT"], START, uniform=lambda: 1.0)
    request, _ = session.subscribe(START)
    refusal = "error:already subscribed,topic:publicTrade.BTCUSDT"
    assert session.receive(answer(request, success=False, ret_msg=refusal), START) == [Subscribed("BTCUSDT")]


def test_a_subscription_that_is_not_answered_is_refused_and_asked_again() -> None:
    session = Session(["BTCUSDT"], START, uniform=lambda: 1.0)
    session.subscribe(START)
    session.receive("{}", instant(5))  # the exchange lives
    assert session.tick(instant(9.9)) == []
    assert session.tick(instant(10)) == [
        Refused("BTCUSDT", "the subscription was not answered"),
        KlinesRefused("BTCUSDT", "the subscription was not answered"),
    ]
    assert isinstance(session.tick(instant(11))[0], Resubscribe)


def test_a_connection_that_has_answered_nothing_is_stale() -> None:
    session = Session(["BTCUSDT"], START, uniform=lambda: 1.0)
    session.subscribe(START)
    assert session.tick(instant(9.9)) == []
    assert session.tick(instant(10)) == [Stale("no message came after a subscription was requested")]


def test_a_connection_that_dies_after_a_refusal_is_stale() -> None:
    session = Session(["BTCUSDT"], START, uniform=lambda: 1.0)
    request, _ = session.subscribe(START)
    session.receive(answer(request, success=False, ret_msg="error:handler not found"), instant(0.1))
    assert isinstance(session.tick(instant(1.2))[0], Resubscribe)
    assert session.tick(instant(11.2)) == [Stale("no message came after a subscription was requested")]


# Proofs.


# f(1.000) f(1.000)            consecutive frames can share a T
def test_a_frame_proves_its_symbol_and_with_a_margin_the_others() -> None:
    session = opened("BTCUSDT", "ETHUSDT")
    events = session.receive(frame("BTCUSDT", 0.9, 1.0), instant(1.05))
    assert isinstance(events[0], Trades)
    assert proofs(events) == [(0.999, "BTCUSDT"), (0.75, None)]
    assert proofs(session.receive(frame("ETHUSDT", 0.9), instant(1.06))) == [(0.899, "ETHUSDT")]


# p(1.0) ............. answer(1.3)    proves what was before 0.75
def test_an_answered_ping_proves_all_up_to_when_it_left() -> None:
    session = opened("BTCUSDT")
    assert pings(session, 0.95) == []
    assert pings(session, 1.0) == ['{"op":"ping"}']
    assert pings(session, 1.1) == []
    events = session.receive(PONG, instant(1.3))
    assert events == [Pong(300_000), ProvenUpTo(at(0.75), None)]


def test_frames_hold_pings_back_but_for_one_in_twenty_seconds() -> None:
    session = opened("BTCUSDT")
    pinged = []
    for tenth in range(1, 291):
        session.receive(frame("BTCUSDT", tenth / 10), instant(tenth / 10))
        if pings(session, tenth / 10):
            pinged.append(tenth / 10)
            session.receive(PONG, instant(tenth / 10))
    assert pinged == [20.0]


# The minute ends at 30.0: a quiet session pings at 30.25, as soon as the answer can prove it
def test_the_minutes_end_waits_for_no_second() -> None:
    session = opened("BTCUSDT")
    assert pings(session, 20.0) == ['{"op":"ping"}']
    session.receive(PONG, instant(20.1))
    session.receive(frame("BTCUSDT", 29.5), instant(29.5))
    assert pings(session, 30.2) == []
    assert pings(session, 30.25) == ['{"op":"ping"}']
    assert proofs(session.receive(PONG, instant(30.3))) == [(30.0, None)]


def test_without_the_exchanges_clock_nothing_is_proven() -> None:
    session = Session(["BTCUSDT"], START, uniform=lambda: 1.0)
    request, _ = session.subscribe(START)
    session.receive(answer(request), START)
    assert session.tick(START) == [ServerTimeDue()]
    assert proofs(session.receive(frame("BTCUSDT", 0.5), instant(0.5))) == []
    assert pings(session, 1.6) == ['{"op":"ping"}']
    assert proofs(session.receive(PONG, instant(1.7))) == []
    session.server_time(at(1.8), instant(1.7), instant(1.8))
    assert proofs(session.receive(frame("BTCUSDT", 1.7), instant(1.9))) == [(1.699, "BTCUSDT"), (1.45, None)]


def test_a_time_asked_before_the_first_answer_counts_for_nothing() -> None:
    """A market that is played back stands still before the first subscription."""
    session = Session(["BTCUSDT"], START, uniform=lambda: 1.0, times=SessionTimes(rest_alone_us=0))
    request, _ = session.subscribe(START)
    session.receive(answer(request), instant(5))
    session.server_time(at(0), instant(4), instant(5.1))
    session.server_time(at(0), instant(4), instant(5.1))
    assert session.exchange_time_us(instant(6)) is None
    for second in (0.2, 0.3):
        session.server_time(at(second), instant(5 + second), instant(5 + second))
    assert session.exchange_time_us(instant(6)) == at(1)


# f(T = 1.9 at 1.0)   a frame ahead of the clock proves no more than the clock
def test_no_proof_passes_the_clock() -> None:
    session = opened("BTCUSDT", "ETHUSDT")
    assert proofs(session.receive(frame("BTCUSDT", 1.9), instant(1))) == [(0.999, "BTCUSDT"), (0.75, None)]
    assert proofs(session.receive(frame("BTCUSDT", 7200), instant(1))) == [(0.999, "BTCUSDT")]
    assert ServerTimeDue() in session.tick(instant(1.1))


# K(open)  K(closed)   klines that are still open are passed over
def test_a_closed_kline_is_reported() -> None:
    session = opened("BTCUSDT")
    item = {"start": at(-30) // MS_US, "volume": "1.5", "turnover": "3", "confirm": False}
    message = {"topic": "kline.1.BTCUSDT", "data": [item]}
    assert session.receive(json.dumps(message), instant(1)) == []
    [event] = session.receive(json.dumps({**message, "data": [{**item, "confirm": True}]}), instant(30.2))
    assert event == KlineClosed(Kline("BTCUSDT", at(-30), 1_500_000_000, 3_000_000_000, is_closed=True))


def test_a_slow_answer_proves_less_and_a_clock_of_ours_that_is_wrong_changes_nothing() -> None:
    session = opened("BTCUSDT")
    session.server_time(at(2.0), instant(2.0), instant(4.0))  # two seconds under way
    assert session.exchange_time_us(instant(4.0)) == at(2.0)


# Ends.


def test_a_ping_without_answer_makes_it_stale() -> None:
    session = opened("BTCUSDT")
    assert pings(session, 1.0) == ['{"op":"ping"}']
    assert session.tick(instant(10.9)) == []
    assert session.tick(instant(11)) == [Stale("a ping was not answered")]


@pytest.mark.parametrize(
    ("text", "reason", "may_hide_trades"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)", True),
        ("[1]", "not an object", True),
        ('{"topic":"publicTrade.BTCUSDT","data":[]}', "ts must be milliseconds, got None", True),
        ('{"topic":"publicTrade.BTCUSDT","ts":1,"data":5}', "data must be a list of trades, got '5'", True),
        ('{"topic":"publicTrade.ETHUSDT","ts":1,"data":[]}', "trades of a symbol that was not requested", False),
        ('{"topic":"kline.5.BTCUSDT"}', "a message of no expected kind", False),
        ('{"topic":"kline.1.BTCUSDT"}', "data must be a list of klines, got 'None'", False),
        ('{"op":"subscribe","req_id":"77","success":true}', "an answer to no open subscription request", False),
        (PONG, "an answer to no open ping", False),
    ],
)
def test_what_is_unknown(text: str, reason: str, may_hide_trades: bool) -> None:
    session = opened("BTCUSDT")
    assert session.receive(text, START) == [Unknown(text, reason, may_hide_trades)]


def test_what_is_nested_too_deeply_is_unknown() -> None:
    deep: list[Any] = []
    for _ in range(1100):
        deep = [deep]
    for message in (
        {"topic": "publicTrade.BTCUSDT", "ts": 1, "data": [{"s": "BTCUSDT", "T": 1, "S": deep}]},
        {"op": "subscribe", "req_id": "1", "success": False, "ret_msg": deep},
    ):
        session = Session(["BTCUSDT"], START, uniform=lambda: 1.0, decode=lambda _, message=message: message)  # type: ignore[misc]
        session.subscribe(START)
        assert session.receive("...", START) == [Unknown("...", "nested too deeply", may_hide_trades=True)]


def test_bytes_that_are_no_text() -> None:
    [event] = opened("BTCUSDT").receive(b"\xff\xfe", START)
    assert isinstance(event, Unknown)
    assert event.text == "\\xff\\xfe"


def test_frames_without_trades_or_with_an_unreadable_last_one_prove_nothing() -> None:
    session = opened("BTCUSDT")
    empty: dict[str, Any] = {"topic": "publicTrade.BTCUSDT", "ts": at(1) // MS_US, "data": []}
    assert [type(event) for event in session.receive(json.dumps(empty), instant(1))] == [Trades]
    bad = {**empty, "data": [{"T": at(1) // MS_US}, {"T": "soon"}]}
    assert [type(event) for event in session.receive(json.dumps(bad), instant(1))] == [Trades]
