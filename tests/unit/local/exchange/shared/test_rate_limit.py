"""The rate limit and its bans, on a clock that the test sets."""

from __future__ import annotations

from local.exchange.shared.rate_limit import RateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_request_beyond_the_limit_is_refused_and_bans_its_address_only() -> None:
    clock = Clock()
    rate_limit = RateLimit(3, 300, clock)
    assert [rate_limit.admit("a") for _ in range(5)] == [True, True, True, False, False]
    assert rate_limit.seconds_left("a") == 300
    assert rate_limit.admit("b")


def test_the_window_slides() -> None:
    # limit 2     req req . . . . . . req req
    # seconds     0   0.9             1.0 1.5: within (0.5, 1.5] lie 0.9, 1.0 and 1.5
    clock = Clock()
    rate_limit = RateLimit(2, 300, clock)
    admitted = []
    for at in (0, 0.9, 1.0, 1.5):
        clock.now = 1000 + at
        admitted.append(rate_limit.admit("a"))
    assert admitted == [True, True, True, False]


def test_a_ban_ends_by_the_clock_and_is_not_prolonged_by_requests() -> None:
    clock = Clock()
    rate_limit = RateLimit(1, 300, clock)
    rate_limit.admit("a")
    rate_limit.admit("a")
    clock.now += 299.5
    assert not rate_limit.admit("a")
    clock.now += 0.5
    assert rate_limit.admit("a")
    assert rate_limit.seconds_left("a") == 0


def test_every_address_can_be_banned_and_bans_be_lifted() -> None:
    rate_limit = RateLimit(40, 300, Clock())
    rate_limit.ban_all(5)
    assert not rate_limit.admit("a")
    assert rate_limit.seconds_left("b") == 5
    rate_limit.lift_bans()
    assert rate_limit.admit("a")
