"""Arithmetic on columns: the turnover of every trade is the core's."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bitcoin_pipeline.amounts import from_units
from bitcoin_pipeline.trade import RejectedValueError, turnover_of
from candles_batch.arithmetic import integers, turnovers

amounts = st.one_of(
    st.integers(1, 10**18),
    st.integers(1, 10**27 - 1),
    st.builds(lambda n, z: n * 10**z, st.integers(1, 10**6), st.integers(0, 12)),
)


@given(
    pairs=st.lists(st.tuples(amounts, amounts), min_size=1, max_size=4), symbol=st.sampled_from(["BTCUSDT", "BTCUSD"])
)
@settings(max_examples=500, deadline=None)
def test_turnover_is_the_core_s(pairs: list[tuple[int, int]], symbol: str) -> None:
    expected = []
    for price, size in pairs:
        try:
            expected.append(turnover_of(symbol, from_units(price), from_units(size)))
        except RejectedValueError:
            return  # such a trade is rejected where it enters
    prices, sizes = (integers([pair[column] for pair in pairs]) for column in (0, 1))
    turnover = turnovers(symbol, prices, sizes)
    assert [from_units(int(units)) for units in turnover] == expected
