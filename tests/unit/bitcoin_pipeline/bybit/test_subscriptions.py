"""Subscriptions: requests, what their answers mean, and repeated requests. Times are seconds."""

from __future__ import annotations

import json

from bitcoin_pipeline.bybit.session_events import KlinesRefused, KlinesSubscribed, Refused, Resubscribe, Subscribed
from bitcoin_pipeline.bybit.session_times import SessionTimes
from bitcoin_pipeline.bybit.subscriptions import Subscriptions
from bitcoin_pipeline.times import SECOND_US, Instant


def instant(second: float) -> Instant:
    return Instant(round(second * SECOND_US))


def subscriptions(*symbols: str) -> Subscriptions:
    return Subscriptions(symbols, SessionTimes(), lambda: 1.0)


def test_an_answer_is_that_of_the_request_with_its_number() -> None:
    both = subscriptions(*(f"S{number:04}USDT" for number in range(900)))
    requests = [json.loads(text) for text in both.request_all(instant(0))]
    assert [request["req_id"] for request in requests] == ["1", "2", "3", "4"]
    events = both.answer({"req_id": "2", "success": True}, instant(1))
    symbols = [topic.removeprefix("publicTrade.") for topic in requests[1]["args"]]
    assert events == [Subscribed(symbol) for symbol in symbols]


def test_an_answer_without_a_number_is_that_of_the_oldest_open_request() -> None:
    one = subscriptions("BTCUSDT")
    one.request_all(instant(0))
    assert one.answer({"success": True}, instant(1)) == [Subscribed("BTCUSDT")]
    assert one.answer({"req_id": "", "success": True}, instant(1)) == [KlinesSubscribed("BTCUSDT")]
    assert one.answer({"success": True}, instant(1)) is None


def test_what_answers_no_open_request() -> None:
    one = subscriptions("BTCUSDT")
    one.request_all(instant(0))
    assert one.answer({"req_id": 1, "success": True}, instant(1)) is None
    assert one.answer({"req_id": "7", "success": True}, instant(1)) is None
    assert one.answer({"req_id": "1", "success": True}, instant(1)) == [Subscribed("BTCUSDT")]
    assert one.answer({"req_id": "1", "success": True}, instant(1)) is None


def test_a_refused_symbol_is_requested_again() -> None:
    one = subscriptions("NOUSDT")
    one.request_all(instant(0))
    assert one.answer({"req_id": "1", "success": False, "ret_msg": "no"}, instant(0)) == [Refused("NOUSDT", "no")]
    assert one.tick(instant(0.9)) == []
    [again] = one.tick(instant(1))
    assert again == Resubscribe('{"req_id":"3","op":"subscribe","args":["publicTrade.NOUSDT"]}')


def test_refused_klines_hurt_no_trades() -> None:
    both = subscriptions("BTCUSDT", "NOUSDT")
    _, klines = both.request_all(instant(0))
    assert json.loads(klines)["args"] == ["kline.1.BTCUSDT", "kline.1.NOUSDT"]
    assert both.answer({"req_id": "1", "success": True}, instant(0)) == [Subscribed("BTCUSDT"), Subscribed("NOUSDT")]
    assert len(both.answer({"req_id": "2", "success": False}, instant(0)) or []) == 2
    assert both.answer({"req_id": "3", "success": True}, instant(0)) == [KlinesSubscribed("BTCUSDT")]
    refused = both.answer({"req_id": "4", "success": False, "ret_msg": "no"}, instant(0))
    assert refused == [KlinesRefused("NOUSDT", "no")]


def test_it_is_unheard_when_no_message_came_since_an_overdue_request() -> None:
    one = subscriptions("BTCUSDT")
    one.request_all(instant(1))
    assert not one.is_unheard(instant(1), instant(10.9))
    assert one.is_unheard(instant(1), instant(11))
    assert not one.is_unheard(instant(1.1), instant(11))
