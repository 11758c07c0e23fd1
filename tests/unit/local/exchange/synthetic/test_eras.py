"""Eras of the archive's format, by date and by name."""

from __future__ import annotations

import datetime as dt

import pytest

from local.exchange.synthetic.eras import era_named, era_of


def test_days_have_the_era_of_their_date() -> None:
    dates = ["2019-10-01", "2021-12-31", "2022-01-01", "2023-06-01", "2025-08-31", "2025-09-01", "2026-11-22"]
    names = ["2019", "2019", "2022", "2023", "2025", "2025-09", "2025-09"]
    assert [era_of(dt.date.fromisoformat(date)).name for date in dates] == names


def test_an_unknown_era_is_refused_with_the_names() -> None:
    with pytest.raises(ValueError, match="era must be one of 2019, 2022, 2023, 2025, 2025-09, got '1999'"):
        era_named("1999")
