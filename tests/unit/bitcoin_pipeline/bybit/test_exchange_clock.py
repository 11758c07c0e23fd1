"""The exchange's clock: when it is measured, and what it shows. Times are seconds."""

from __future__ import annotations

from bitcoin_pipeline.bybit.exchange_clock import ExchangeClock
from bitcoin_pipeline.bybit.session_times import SessionTimes
from bitcoin_pipeline.times import SECOND_US, Instant

EXCHANGE_US = 1_786_310_790_000_000
"""2026-08-09T21:26:30Z."""


def instant(second: float) -> Instant:
    return Instant(round(second * SECOND_US))


def started() -> ExchangeClock:
    clock = ExchangeClock(SessionTimes(), instant(0))
    clock.start(instant(5))
    assert clock.ask(instant(5))
    return clock


def test_it_is_not_measured_before_it_is_started() -> None:
    clock = ExchangeClock(SessionTimes(), instant(0))
    clock.measure_soon(instant(1))
    assert not clock.is_started
    assert not clock.ask(instant(60))
    assert clock.time_us(instant(60)) is None


def test_the_monotonic_clock_carries_it_on() -> None:
    clock = started()
    assert not clock.ask(instant(5.5))  # one request at a time
    assert clock.answer(EXCHANGE_US, instant(5), instant(6)) == EXCHANGE_US
    assert clock.time_us(instant(8.5)) == EXCHANGE_US + 2_500_000
    assert not clock.ask(instant(35.9))
    assert clock.ask(instant(36))


def test_rest_is_asked_again_a_second_after_it_failed() -> None:
    clock = started()
    assert clock.answer(None, instant(5), instant(6)) is None
    assert not clock.ask(instant(6.9))
    assert clock.ask(instant(7))


def test_an_answer_from_before_the_start_counts_for_nothing() -> None:
    clock = started()
    assert clock.answer(EXCHANGE_US, instant(4.9), instant(6)) is None
    assert clock.time_us(instant(6)) is None


def test_hurried_measurements_keep_a_distance() -> None:
    clock = started()
    clock.answer(EXCHANGE_US, instant(5), instant(5.01))
    clock.measure_soon(instant(5.02))
    assert not clock.ask(instant(5.09))
    assert clock.ask(instant(5.1))
