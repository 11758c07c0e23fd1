"""The dashboard's live minutes: two days, the best candle of each minute, and bars that equal the core's merge."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from bitcoin_pipeline.candle import Candle, Source, Status, merge
from bitcoin_pipeline.times import SECOND_US
from dashboard.level_of_detail import DAY_S, HOUR_S
from dashboard.live_minutes import LiveMinutes

MIDNIGHT: Final = 20_000 * DAY_S
NOON: Final = MIDNIGHT + DAY_S // 2


def minute(t: int, close: str = "100.5", source: Source = Source.LIVE, status: Status = Status.FINAL) -> Candle:
    one = Decimal(1)
    return Candle(
        "BTCUSDT", t * SECOND_US, source, Decimal(100), Decimal(101), Decimal(99), Decimal(close),
        one, Decimal(100), 3, one / 2, Decimal(50), f"first {t}", f"last {t}", status,
    )  # fmt: skip


def taken(*candles: Candle) -> LiveMinutes:
    minutes = LiveMinutes()
    for candle in candles:
        assert minutes.take(candle)
    return minutes


def test_only_what_is_new_or_changed_is_taken() -> None:
    minutes = taken(minute(NOON))
    assert not minutes.take(minute(NOON))
    assert minutes.take(minute(NOON, "7"))
    assert minutes.take(replace(minute(NOON, "7"), confirmed=True))
    assert not minutes.take(replace(minute(NOON, "7"), confirmed=True))


#   |--- day before ---|--- newest day ---|
#   since                                 until
def test_two_days_are_live() -> None:
    minutes = taken(minute(MIDNIGHT - DAY_S), minute(MIDNIGHT - 60), minute(NOON))
    assert (minutes.since_s, minutes.newest_s, minutes.until_s) == (MIDNIGHT - DAY_S, NOON, MIDNIGHT + DAY_S)
    assert minutes.take(minute(MIDNIGHT + DAY_S))
    assert (minutes.since_s, minutes.until_s) == (MIDNIGHT, MIDNIGHT + 2 * DAY_S)
    assert minutes.days() == {20_000, 20_001}
    assert not minutes.take(minute(MIDNIGHT - 60, "9"))
    assert minutes.bar(MIDNIGHT - DAY_S, DAY_S) is None


def test_the_best_of_a_minute_s_sources_counts_as_its_status_changes() -> None:
    minutes = taken(minute(NOON, "1"), minute(NOON, "2", Source.KLINE))
    assert minutes.bar(NOON, 60) == minute(NOON, "1")
    assert minutes.take(minute(NOON, "1", status=Status.PARTIAL))
    assert minutes.bar(NOON, 60) == minute(NOON, "2", Source.KLINE)
    assert minutes.take(minute(NOON, "3", Source.ARCHIVE))
    assert minutes.bar(NOON, 60) == minute(NOON, "3", Source.ARCHIVE)


def test_the_number_of_merged_bars_does_not_grow_with_the_minutes() -> None:
    minutes = LiveMinutes()
    for t in range(MIDNIGHT, MIDNIGHT + DAY_S, 60):
        minutes.take(minute(t))
        for interval in (300, 900, HOUR_S, DAY_S):
            minutes.bar(t - t % interval, interval)
        minutes.last_day()
    assert len(minutes._merged) < 2 * 24 + 300


def test_the_newest_minute_before_a_time_is_found() -> None:
    minutes = taken(minute(NOON), minute(NOON + 120))
    assert [minutes.before(t) for t in (NOON, NOON + 60, NOON + 120, NOON + 180)] == [None, NOON, NOON, NOON + 120]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3 * DAY_S // 60 - 1) | st.integers(DAY_S // 60 - 130, DAY_S // 60 + 130),
            st.integers(1, 9),
            st.sampled_from(Status),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_bars_are_the_core_s_merge_whatever_came_and_was_merged_before(
    came: list[tuple[int, int, Status, bool]],
) -> None:
    minutes, kept = LiveMinutes(), dict[int, Candle]()
    for n, close, status, is_merged in came:
        candle = minute(MIDNIGHT + 60 * n, str(close), status=status)
        minutes.take(candle)
        kept[MIDNIGHT + 60 * n] = candle
        kept = {t: row for t, row in kept.items() if t >= minutes.since_s}
        if is_merged:
            for interval in (60, 300, 900, HOUR_S, 4 * HOUR_S, DAY_S):
                bars = [minutes.bar(t, interval) for t in range(minutes.since_s, minutes.until_s, interval)]
                assert [bar for bar in bars if bar is not None] == merge(kept.values(), interval * SECOND_US)
            day = [row for t, row in sorted(kept.items()) if minutes.newest_s - DAY_S < t]
            found = minutes.last_day()
            assert sum(bar.trade_count or 0 for bar in found) == 3 * len(day)
            assert (found[0].first_trade_id, found[-1].close) == (day[0].first_trade_id, day[-1].close)
