"""Settings of an entry point, read from its environment; one error names all faults.

Part of the core; any module may import it. Only entry points pass `os.environ`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

_T = TypeVar("_T")
_NO_DEFAULT: Any = dataclasses.MISSING


class SettingsError(ValueError):
    """One or more settings are missing or wrong; the message names every one."""


def setting(variable: str, meaning: str, parse: Callable[[str], Any] = str, default: Any = _NO_DEFAULT) -> Any:
    """A dataclass field read from the environment's `variable`.

    `parse` turns the variable's text into the value, or raises ValueError; without `default` the variable is required.
    """
    metadata = {"variable": variable, "meaning": meaning, "parse": parse}
    if default is _NO_DEFAULT:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def narrowed(kind: type, name: str, parse: Callable[[str], Any]) -> Any:
    """The setting `name` of the dataclass `kind` with another parser, for a subclass that accepts fewer values."""
    [field] = (field for field in dataclasses.fields(kind) if field.name == name)
    return setting(field.metadata["variable"], field.metadata["meaning"], parse, field.default)


def url_of(*schemes: str) -> Callable[[str], str]:
    """A parser of addresses that have one of `schemes` and a host, and no query or fragment; the text is kept."""

    def parse(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"must be an address such as {schemes[0]}://host, got {text!r}")
        return text

    return parse


def whole(unit: str, most: int, least: int = 0) -> Callable[[str], int]:
    """A parser of integers from `least` to `most`, written as digits alone. `unit`: the plural in the message."""
    limits = f" from {least} to {most}" if least else f", at most {most}"

    def parse(text: str) -> int:
        if not re.fullmatch(f"[0-9]{{1,{len(str(most))}}}", text) or not least <= int(text) <= most:
            raise ValueError(f"must be whole {unit}{limits}, got {text!r}")
        return int(text)

    return parse


def parse_port(text: str) -> int:
    """A TCP port. Raises ValueError."""
    if not re.fullmatch("[1-9][0-9]{0,4}", text) or int(text) > 65_535:
        raise ValueError(f"must be a port from 1 to 65535, got {text!r}")
    return int(text)


def read_settings(kind: type[_T], environ: Mapping[str, str]) -> _T:
    """An instance of the dataclass `kind`, whose fields are made by `setting`.

    An empty variable counts as not set. Raises SettingsError that names every missing or unreadable variable.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]  # a dataclass by contract
        variable = field.metadata["variable"]
        text = environ.get(variable, "")
        if not text:
            if field.default is dataclasses.MISSING:
                faults.append(f"{variable} is not set ({field.metadata['meaning']})")
            continue
        try:
            values[field.name] = field.metadata["parse"](text)
        except ValueError as error:
            faults.append(f"{variable}: {error} ({field.metadata['meaning']})")
    if faults:
        raise SettingsError("; ".join(faults))
    return kind(**values)
