"""A disorder changes the frames and their order, never the trades."""

from __future__ import annotations

import pytest

from tests.support.disorder import DISORDERS, SHUFFLE_MS, Frame, recorded

FRAMES: list[Frame] = [
    {
        "topic": "t",
        "ts": 100 * number + 1,
        "data": [{"T": 100 * number, "i": f"{number}-{place}"} for place in range(3)],
    }
    for number in range(200)
]


@pytest.mark.parametrize("word", DISORDERS)
def test_no_trade_is_lost_and_none_comes_early_or_too_late(word: str) -> None:
    arrivals = DISORDERS[word](FRAMES)
    assert {item["i"] for _, frame in arrivals for item in frame["data"]} == {
        f"{n}-{p}" for n in range(200) for p in range(3)
    }
    assert all(item["T"] < at for at, frame in arrivals for item in frame["data"])
    assert max(at - frame["data"][-1]["T"] for at, frame in arrivals) <= SHUFFLE_MS + 1001
    assert (arrivals == recorded(FRAMES)) == (word == "RECORDED")
