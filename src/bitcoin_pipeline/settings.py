"""Settings of an entry point, read from its environment; all faults are told at once.

Part of the core; anybody may import it. Only entry points hand `os.environ` to it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

_T = TypeVar("_T")
_NO_DEFAULT: Any = dataclasses.MISSING


class SettingsError(ValueError):
    """One or more settings are missing or wrong; the message names every one."""


def setting(variable: str, meaning: str, parse: Callable[[str], Any] = str, default: Any = _NO_DEFAULT) -> Any:
    """A dataclass field read from the environment's `variable`.

    `parse` turns its text into the value and raises ValueError when it cannot; without `default` it is required.
    """
    metadata = {"variable": variable, "meaning": meaning, "parse": parse}
    if default is _NO_DEFAULT:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


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
