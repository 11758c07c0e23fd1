"""The exchange's clock: when it is measured, and which times move it. Times are seconds."""

from __future__ import annotations

from bitcoin_pipeline.bybit.exchange_clock import ExchangeClock
from bitcoin_pipeline.bybit.session_times import SessionTimes
from bitcoin_pipeline.times import SECOND_US, Instant

EXCHANGE_US = 1_786_310_790_000_000
"""2026-08-09T21:26:30Z at the instant 0."""
HOURS = 7200.0


def instant(second: float) -> Instant:
    return Instant(round(second * SECOND_US))


def at(second: float) -> int:
    return EXCHANGE_US + round(second * SECOND_US)


def started() -> ExchangeClock:
    clock = ExchangeClock(SessionTimes())
    clock.start(instant(0))
    assert clock.ask(instant(0))
    return clock


def measured() -> ExchangeClock:
    """A clock that REST and a frame agree on."""
    clock = started()
    clock.answer(at(0), instant(0), instant(0))
    clock.saw_frame(at(0), instant(0))
    assert shown(clock, 0) == 0
    return clock


def shown(clock: ExchangeClock, second: float) -> float | None:
    """The clock's time, as seconds after EXCHANGE_US."""
    time_us = clock.time_us(instant(second))
    return None if time_us is None else (time_us - EXCHANGE_US) / SECOND_US


def test_it_is_not_measured_before_it_is_started() -> None:
    clock = ExchangeClock(SessionTimes())
    assert not clock.is_started
    assert not clock.ask(instant(60))
    assert shown(clock, 60) is None


def test_rest_alone_is_enough_once_its_times_agree_for_two_seconds() -> None:
    clock = started()
    clock.answer(at(0.5), instant(0), instant(0.5))
    assert not clock.ask(instant(1.4))
    for second in (1.5, 2.6):
        assert shown(clock, second) is None
        assert clock.ask(instant(second))
        clock.answer(at(second), instant(second), instant(second + 0.1))
    assert shown(clock, 2.7) == 2.6
    assert not clock.ask(instant(32.6))
    assert clock.ask(instant(32.7))


def test_rest_times_that_are_wrong_for_a_second_and_a_half_move_nothing() -> None:
    clock = started()
    for second in (0, 1, 1.5):
        clock.answer(at(second + HOURS), instant(second), instant(second))
        assert shown(clock, second) is None
    for second in (2.5, 3.5, 4.5):
        clock.answer(at(second), instant(second), instant(second))
    assert shown(clock, 4.5) == 4.5


def test_an_answer_and_a_frame_are_enough() -> None:
    clock = started()
    clock.saw_frame(at(0.3), instant(0.4))
    clock.answer(at(0.5), instant(0), instant(0.5))
    assert shown(clock, 0.5) == 0.4


def test_frames_over_a_second_are_enough_without_rest() -> None:
    clock = started()
    clock.answer(None, instant(0), instant(0.1))
    for second in (0.4, 0.4, 0.4, 0.9):
        clock.saw_frame(at(second - 0.1), instant(second))
        assert shown(clock, second) is None
    clock.saw_frame(at(1.4), instant(1.4))
    assert shown(clock, 1.4) == 1.3


def test_wrong_frames_at_once_are_no_majority() -> None:
    clock = started()
    for second in (0.1, 0.1, 0.1):
        clock.saw_frame(at(HOURS), instant(second))
    clock.saw_frame(at(0.2), instant(0.2))
    clock.answer(at(0.3), instant(0), instant(0.3))
    assert shown(clock, 0.3) == 0.3


def test_rest_is_asked_again_a_second_after_it_failed() -> None:
    clock = started()
    clock.answer(None, instant(0), instant(1))
    assert not clock.ask(instant(1.9))
    assert clock.ask(instant(2))


def test_an_answer_from_before_the_start_counts_for_nothing() -> None:
    """A market that is played back stands still before the first subscription."""
    clock = started()
    clock.answer(at(0), instant(-0.1), instant(5))
    clock.answer(at(0), instant(-0.1), instant(5))
    assert shown(clock, 6) is None


def test_a_slow_answer_makes_it_slower_and_not_faster() -> None:
    clock = measured()
    clock.answer(at(2), instant(2), instant(4))
    assert shown(clock, 4) == 2


def test_a_first_time_that_is_wrong_yields_to_two_that_agree() -> None:
    clock = started()
    clock.saw_frame(at(HOURS), instant(0.1))
    clock.answer(at(0.2), instant(0), instant(0.2))
    assert shown(clock, 0.2) is None
    clock.saw_frame(at(0.3), instant(0.3))
    assert shown(clock, 0.3) == 0.3


def test_wrong_answers_move_nothing_while_frames_agree_with_the_clock() -> None:
    clock = measured()
    for second in range(1, 60):
        clock.saw_frame(at(second), instant(second))
        clock.answer(at(second + HOURS), instant(second), instant(second))
    assert shown(clock, 60) == 60


def test_a_wrong_frame_moves_nothing() -> None:
    clock = measured()
    clock.saw_frame(at(HOURS), instant(1))
    clock.saw_frame(at(1.9), instant(1))  # within what agrees, yet alone
    clock.saw_frame(at(1), instant(1))
    assert shown(clock, 1) == 1
    assert clock.jumps == 0


def test_frames_that_agree_with_each_other_advance_a_slow_clock() -> None:
    clock = measured()
    clock.saw_frame(at(1.5), instant(1))
    clock.saw_frame(at(2.4), instant(2))
    assert shown(clock, 2) == 2.4


def test_three_frames_outvote_it() -> None:
    clock = measured()
    for second in (1, 2):
        clock.saw_frame(at(second + HOURS), instant(second))
        assert shown(clock, second) == second
    clock.saw_frame(at(3 + HOURS), instant(3))
    assert shown(clock, 3) == 3 + HOURS
    assert clock.jumps == 1


def test_rest_alone_moves_no_clock_that_a_frame_has_agreed_with() -> None:
    clock = measured()
    for second in range(40, 160):
        clock.answer(at(second + HOURS), instant(second), instant(second))
    assert shown(clock, 160) == 160
    clock.saw_frame(at(160 + HOURS), instant(160))
    assert shown(clock, 160) == 160 + HOURS


def test_a_clock_of_rest_alone_is_set_right_by_rest() -> None:
    clock = started()
    for second in (0, 1, 2):
        clock.answer(at(second + HOURS), instant(second), instant(second))
    assert shown(clock, 2) == 2 + HOURS
    for second in (40, 41, 42):
        assert shown(clock, second) == second + HOURS
        clock.answer(at(second), instant(second), instant(second))
    assert shown(clock, 42) == 42
