"""Level of detail of the dashboard: the interval of a span, and the tiles of its history."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.level_of_detail import (
    DAY_S,
    INTERVALS_S,
    LEVELS_S,
    MAX_BARS,
    TILE_ROWS,
    Tile,
    interval_for,
    level_for,
    runs,
    tiles,
)


@pytest.mark.parametrize(
    ("days", "interval"),
    [(0.1, "1m"), (1, "1m"), (5, "5m"), (20, "15m"), (31, "1h"), (91, "4h"), (365, "1d"), (9999, "1d")],
)
def test_a_span_is_shown_in_the_shortest_interval_that_fits(days: float, interval: str) -> None:
    assert interval_for(int(days * DAY_S)) == INTERVALS_S[interval]


@pytest.mark.parametrize(
    ("interval", "level"), [("1m", 60), ("5m", 60), ("15m", 900), ("1h", 900), ("4h", 14_400), ("1d", 14_400)]
)
def test_bars_are_merged_from_the_longest_level_that_divides_them(interval: str, level: int) -> None:
    assert level_for(INTERVALS_S[interval]) == level


@pytest.mark.parametrize("interval", INTERVALS_S.values())
def test_an_answer_needs_few_rows_whatever_the_span(interval: int) -> None:
    level = level_for(interval)
    wanted = tiles("BTCUSDT", level, 10**9, 10**9 + MAX_BARS * interval)
    assert len(wanted) * TILE_ROWS <= 6 * TILE_ROWS
    assert DAY_S % interval == 0
    assert interval % level == 0


@given(st.sampled_from(LEVELS_S), st.integers(0, 4 * 10**9), st.integers(1, 10**8))
def test_tiles_cover_the_span_without_overlap(level: int, start: int, length: int) -> None:
    found = tiles("BTCUSDT", level, start, start + length)
    assert found[0].start_s <= start < found[0].end_s
    assert found[-1].start_s < start + length <= found[-1].end_s
    assert all(one.end_s == following.start_s for one, following in pairwise(found))
    assert all(tile.start_s % DAY_S == 0 for tile in found) or level == 60
    assert runs(found) == [found]


def test_an_empty_span_has_no_tiles() -> None:
    assert tiles("BTCUSDT", 60, 600, 600) == []
    assert tiles("BTCUSDT", 60, 600, 0) == []


def test_adjoining_tiles_are_one_run() -> None:
    width = 60 * TILE_ROWS
    minutes = [Tile("BTCUSDT", 60, n * width) for n in (4, 1, 2)]
    quarters = Tile("BTCUSDT", 900, 5 * width)
    assert runs([*minutes, quarters]) == [minutes[1:], minutes[:1], [quarters]]
