"""Statistics of the benchmarks: quantiles of measured values."""

from __future__ import annotations

import pytest

from tests.bench.measuring import quantile


@pytest.mark.parametrize(("share", "expected"), [(0.5, 10), (0.95, 19), (0.951, 20), (1.0, 20), (0.0, 1)])
def test_a_quantile_is_one_of_the_values(share: float, expected: int) -> None:
    assert quantile(range(20, 0, -1), share) == expected
