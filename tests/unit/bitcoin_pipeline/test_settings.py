"""Settings: parsed from an environment that the caller passes; one error names all faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from bitcoin_pipeline.settings import SettingsError, narrowed, parse_port, read_settings, setting, url_of, whole
from bitcoin_pipeline.times import parse_interval


@dataclass(frozen=True, slots=True)
class Example:
    lake: str = setting("LAKE", "bucket of the lake")
    retries: int = setting("RETRIES", "how often to try again", int)
    interval_us: int = setting("INTERVAL", "length of a candle", parse_interval, 60_000_000)


def test_settings_are_parsed_and_defaults_hold() -> None:
    assert read_settings(Example, {"LAKE": "lake", "RETRIES": "3", "OTHER": "x"}) == Example("lake", 3, 60_000_000)
    assert read_settings(Example, {"LAKE": "lake", "RETRIES": "3", "INTERVAL": "1h"}).interval_us == 3_600_000_000


def test_all_faults_come_in_one_message() -> None:
    with pytest.raises(SettingsError) as error:
        read_settings(Example, {"LAKE": "", "RETRIES": "many", "INTERVAL": "7m"})
    assert str(error.value).split("; ") == [
        "LAKE is not set (bucket of the lake)",
        "RETRIES: invalid literal for int() with base 10: 'many' (how often to try again)",
        "INTERVAL: interval must divide one day and be whole minutes, such as 1m, 15m, 4h or 1d, got 7m "
        "(length of a candle)",
    ]


def test_an_empty_variable_takes_the_default() -> None:
    assert read_settings(Example, {"LAKE": "lake", "RETRIES": "3", "INTERVAL": ""}).interval_us == 60_000_000


@dataclass(frozen=True, slots=True)
class Narrow(Example):
    retries: int = narrowed(Example, "retries", whole("retries", 3))
    interval_us: int = narrowed(Example, "interval_us", int)


def test_a_subclass_may_take_fewer_values_of_a_setting() -> None:
    environ = {"LAKE": "lake", "RETRIES": "3", "INTERVAL": ""}
    assert read_settings(Narrow, environ) == Narrow("lake", 3, 60_000_000)
    with pytest.raises(SettingsError, match=r"RETRIES: must be whole retries, at most 3, got '4' \(how often"):
        read_settings(Narrow, {**environ, "RETRIES": "4"})


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (url_of("https", "http"), "https://host", "https://host"),
        (url_of("https", "http"), "http://host:80/path/", "http://host:80/path/"),
        (whole("seconds", 9999), "0", 0),
        (whole("seconds", 9999), "9999", 9999),
        (whole("rows", 500, least=1), "500", 500),
        (parse_port, "1", 1),
        (parse_port, "65535", 65_535),
    ],
)
def test_what_a_parser_takes(parse: Callable[[str], Any], text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        *((url_of("wss", "ws"), text, "an address such as wss://host") for text in ("host", "https://host", "wss://")),
        *((url_of("https"), f"https://host{end}", "an address such as https://host") for end in ("?a=b", "#a")),
        *(
            (whole("seconds", 9999), text, "whole seconds, at most 9999")
            for text in ("-1", "10000", "1.5", " 1", "\u0661")
        ),
        *((whole("rows", 500, least=1), text, "whole rows from 1 to 500") for text in ("0", "501")),
        *((parse_port, text, "a port from 1 to 65535") for text in ("0", "65536", "+1", "http")),
    ],
)
def test_what_a_parser_refuses(parse: Callable[[str], Any], text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^must be {message}, got "):
        parse(text)
