"""Faults of HTTP requests: which are accepted, which are refused with which message, and how often one shows."""

from __future__ import annotations

from typing import Any

import pytest

from local.exchange.shared.faults import Fault, FaultError, Faults, parse_fault


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"fault": "break_off", "after_bytes": 60000, "times": 1}, Fault("break_off", 60000, 1)),
        ({"fault": "ban", "seconds": 0.5}, Fault("ban", 0.5)),
        ({"fault": "slow", "bytes_per_second": 1000}, Fault("slow", 1000)),
        (
            {"fault": "status", "code": 503, "path": "/public.bybit.com/"},
            Fault("status", 503, None, "/public.bybit.com/"),
        ),
        ({"fault": "wrong_bytes", "at_byte": 0, "times": None}, Fault("wrong_bytes", 0)),
    ],
)
def test_a_fault_is_read_and_written_again(given: dict[str, Any], fault: Fault) -> None:
    assert parse_fault(given) == fault
    assert parse_fault(fault.as_json()) == fault


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "a fault is a JSON object"),
        ({}, "fault must be one of ban, break_off, slow, status, wrong_bytes, got None"),
        ({"fault": ["ban"]}, "fault must be one of ban, break_off, slow, status, wrong_bytes"),
        ({"fault": "flood"}, "got 'flood'"),
        ({"fault": "break_off"}, "break_off needs after_bytes, a whole number from 1 to 1099511627776, got None"),
        ({"fault": "break_off", "after_bytes": 1.5}, "a whole number"),
        ({"fault": "status", "code": 200}, "status needs code, a whole number from 400 to 599, got 200"),
        ({"fault": "status", "code": True}, "got True"),
        ({"fault": "ban", "seconds": float("nan")}, "ban needs seconds, a number from 0 to 86400, got nan"),
        ({"fault": "ban", "seconds": 5, "times": 2}, "ban takes seconds, got times"),
        ({"fault": "slow", "bytes_per_second": 5, "byes": 1}, "slow takes bytes_per_second, path, times, got byes"),
        ({"fault": "slow", "bytes_per_second": 5, "times": 0}, "times is a whole number from 1"),
        ({"fault": "slow", "bytes_per_second": 5, "path": "BTCUSDT"}, "path is the beginning of a path"),
    ],
)
def test_a_wrong_fault_is_refused_with_what_is_valid(given: object, message: str) -> None:
    with pytest.raises(FaultError) as error:
        parse_fault(given)
    assert message in str(error.value)


def test_a_fault_shows_as_often_as_set_on_its_paths_and_the_first_one_takes_precedence() -> None:
    faults = Faults()
    faults.add(Fault("status", 503, 2, "/trading/BTCUSDT/"))
    faults.add(Fault("status", 500))
    assert [faults.take("status", "/trading/BTCUSDT/x") for _ in range(3)] == [503, 503, 500]
    assert faults.take("status", "/public.bybit.com/") is None
    assert faults.take("slow", "/trading/BTCUSDT/x") is None
    assert list(faults) == [Fault("status", 500)]
    faults.clear()
    assert faults.take("status", "/trading/BTCUSDT/x") is None
