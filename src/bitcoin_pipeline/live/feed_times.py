"""The intervals and limits of the live feed.

Part of the core; every module but the base modules and `bybit` may import it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitcoin_pipeline.times import MINUTE_US, MS_US, SECOND_US


@dataclass(frozen=True, slots=True)
class FeedTimes:
    """Limits of the feed: durations in microseconds, and the number of trades that a catch-up holds."""

    heartbeat_us: int = SECOND_US
    """Time between two heartbeats."""
    late_us: int = 50 * MINUTE_US
    """How far a trade may lie behind the last heartbeat to be sent; Flink drops what is an hour late."""
    hold_us: int = 5 * SECOND_US
    """How long heartbeats wait for a symbol that is not live yet, and for REST's answer about a silent symbol."""
    settle_us: int = SECOND_US
    """Time after a subscription's answer by which REST serves every trade that was made before it."""
    distrust_us: int = 5 * SECOND_US
    """Time after a subscription's answer by which REST serves every buffered trade that exists."""
    ask_again_us: int = 200 * MS_US
    """Pause before the next request to REST after an answer that was not sufficient."""
    give_up_us: int = 30 * SECOND_US
    """How long a catch-up waits for a sufficient page of recent trades before it ends in a gap."""
    reconnect_us: int = SECOND_US
    """Wait before the first attempt to reconnect; it doubles each time."""
    reconnect_most_us: int = 60 * SECOND_US
    """Upper bound on the wait before an attempt to reconnect."""
    check_us: int = SECOND_US
    """How long the end of a minute waits while every request to REST about a silent symbol fails."""
    buffered: int = 500_000
    """Upper bound on one symbol's trades that are held during its catch-up."""
