"""The intervals and limits of one websocket session.

Part of the core; every module but the base modules may import it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitcoin_pipeline.times import MS_US, SECOND_US


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """Durations in microseconds.

    `margin_us`: by how much the trades of two symbols, or a trade and the answer to a ping, may overtake each other
    within the exchange.
    """

    margin_us: int = 250 * MS_US
    quiet_us: int = SECOND_US
    """A connection without a frame of trades for this long is pinged."""
    ping_every_us: int = 20 * SECOND_US
    """Longest time between two pings; Bybit closes a connection that sends none."""
    answer_us: int = 10 * SECOND_US
    """Time limit of an answer; after it the ping or the subscription counts as lost."""
    agree_us: int = 10 * SECOND_US
    """Upper bound on the difference of two times of the exchange that agree; frames of 4.5 s of age were seen."""
    rest_alone_us: int = 2 * SECOND_US
    """How long REST's times must agree with each other to count while no frame has shown the exchange's time."""
    clock_every_us: int = 30 * SECOND_US
    """Time between two measurements of the exchange's clock."""
    clock_retry_us: int = SECOND_US
    """Time until the next request for the exchange's time when REST failed."""
    clock_pause_us: int = 100 * MS_US
    """Shortest time between two requests for the exchange's time."""
    retry_us: int = SECOND_US
    """Wait before a refused subscription is requested again; it doubles each time."""
    retry_most_us: int = 60 * SECOND_US
    """Upper bound on the wait before a repeated subscription."""
