"""The intervals and limits of the live feed.

Part of the core; every module but the base modules and `bybit` may import it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitcoin_pipeline.times import MINUTE_US, MS_US, SECOND_US


@dataclass(frozen=True, slots=True)
class FeedTimes:
    """Durations in microseconds, and the permitted number of requests to REST."""

    heartbeat_us: int = SECOND_US
    """Time between two heartbeats."""
    late_us: int = 50 * MINUTE_US
    """How far a trade may lie behind the exchange's clock to be sent."""
    ahead_us: int = 5 * MINUTE_US
    """How far a trade may lie ahead of the exchange's clock to be sent."""
    hold_us: int = 10 * SECOND_US
    """How long a symbol may be away before its gap is opened."""
    overlap_us: int = 120 * SECOND_US
    """Upper bound on the time for which a worker and the one that replaces it are both at work."""
    pad_us: int = 250 * MS_US
    """Upper bound on the error of the exchange's clock when a subscription's answer arrives."""
    clock_slow_us: int = 5 * SECOND_US
    """How far the exchange's clock may be behind the exchange's own time."""
    kline_us: int = 2 * SECOND_US
    """Time from the end of a minute until REST is asked for a closed kline that the websocket has not sent."""
    prove_us: int = 6 * SECOND_US
    """Time from the end of a minute until it is closed by the feed's own proof, as no closed kline has come."""
    late_frames_us: int = 300 * MS_US
    """Time that late frames have before REST is asked for the trades that a closed kline shows to be missing."""
    ask_again_us: int = 500 * MS_US
    """Pause before the next request to REST after an answer that was not sufficient; it doubles each time."""
    fill_us: int = 15 * SECOND_US
    """How long the trades are sought that a closed kline shows to be missing, before they are a gap."""
    give_up_us: int = 30 * SECOND_US
    """How long REST's recent trades are sought that overlap the trades of a new connection."""
    rest_lag_us: int = 5 * SECOND_US
    """Upper bound on how far REST's data lag behind its time."""
    check_us: int = SECOND_US
    """How long a minute without a kline waits while REST fails to show whether a silent symbol has trades."""
    silence_us: int = 5 * SECOND_US
    """How long such a minute waits for REST's answer."""
    reconnect_us: int = SECOND_US
    """Wait before the first attempt to reconnect; it doubles each time."""
    reconnect_most_us: int = 60 * SECOND_US
    """Upper bound on the wait before an attempt to reconnect."""
    status_us: int = 60 * SECOND_US
    """Time between two requests for the status of a refused symbol."""
    remember_us: int = MINUTE_US
    """How long the ids of a confirmed minute's trades are kept after its end."""
    remember_unconfirmed_us: int = 2 * MINUTE_US
    """How long the ids of a minute are kept that is whole by the feed's own proof."""
    requests_per_s: int = 15
    """Requests to REST in a second, in the long run."""
    requests_at_once: int = 5
    """Requests to REST that may be sent at once after a pause."""
