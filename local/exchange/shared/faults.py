"""Faults of HTTP requests that the simulator can be set to show: their kinds, their parameters, and which are set.

Part of the exchange simulator; no I/O. A fault shows on the paths that it names; those of the websocket and of the
played market are in `local.exchange.live.faults`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: its one parameter, and the range of that parameter, both ends included."""

    parameter: str
    low: float
    high: float


BAN: Final = "ban"
BREAK_OFF: Final = "break_off"
SLOW: Final = "slow"
STATUS: Final = "status"
WRONG_BYTES: Final = "wrong_bytes"

KINDS: Final[Mapping[str, Kind]] = {
    # Every address is banned from now on.
    BAN: Kind("seconds", 0, 86_400),
    # The connection ends inside a file; its Content-Length is that of the whole file.
    BREAK_OFF: Kind("after_bytes", 1, 1 << 40),
    # A file is sent at this rate at most.
    SLOW: Kind("bytes_per_second", 1, 1 << 40),
    # The request is answered with this status.
    STATUS: Kind("code", 400, 599),
    # This byte of the body is changed; the ETag is that of the unchanged file.
    WRONG_BYTES: Kind("at_byte", 0, 1 << 40),
}
"""Every kind of fault by its name."""

DEFAULT_PATH: Final = "/trading/"
"""Default of a fault's `path`: the files of the archive."""


class FaultError(ValueError):
    """A fault of an unknown kind or with a wrong parameter; the message names the valid values."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that is set.

    `value`: of its kind's parameter. `times`: how many times it still shows; None: until it is cleared. `path`: the
    beginning of the paths on which it shows.
    """

    kind: str
    value: float
    times: int | None = None
    path: str = DEFAULT_PATH

    def as_json(self) -> dict[str, Any]:
        """The fault in the form that `parse_fault` reads."""
        fields: dict[str, Any] = {"fault": self.kind, KINDS[self.kind].parameter: self.value}
        return fields if self.kind == BAN else fields | {"times": self.times, "path": self.path}


class Faults:
    """The faults that are set, in the order in which they were set."""

    def __init__(self) -> None:
        self._set: list[Fault] = []

    def __iter__(self) -> Iterator[Fault]:
        return iter(tuple(self._set))

    def add(self, fault: Fault) -> None:
        """Set a further fault."""
        self._set.append(fault)

    def clear(self) -> None:
        """Clear every fault."""
        self._set.clear()

    def take(self, kind: str, path: str) -> float | None:
        """The value of the first fault of `kind` that shows on `path`, and count it as shown; None where none does."""
        for place, fault in enumerate(self._set):
            if fault.kind == kind and path.startswith(fault.path):
                if fault.times == 1:
                    del self._set[place]
                elif fault.times is not None:
                    self._set[place] = replace(fault, times=fault.times - 1)
                return fault.value
        return None


def parse_fault(given: object, others: tuple[str, ...] = ()) -> Fault:
    """The fault that a JSON object describes. Raises FaultError, which names the valid values.

    `others`: kinds beside those of this module, which the message lists too.
    """
    if not isinstance(given, dict):
        raise FaultError(f'a fault is a JSON object such as {{"fault": "ban", "seconds": 5}}, got {given!r}')
    kind_name: Any = given.get("fault")
    if not isinstance(kind_name, str) or kind_name not in KINDS:
        raise FaultError(f"fault must be one of {', '.join((*KINDS, *others))}, got {kind_name!r}")
    kind = KINDS[kind_name]
    valid = {"fault", kind.parameter} | (set() if kind_name == BAN else {"times", "path"})
    unknown = sorted(str(name) for name in given.keys() - valid)
    if unknown:
        raise FaultError(f"{kind_name} takes {', '.join(sorted(valid - {'fault'}))}, got {', '.join(unknown)}")
    value: Any = given.get(kind.parameter)
    whole = kind_name != BAN
    if not is_number(value, whole=whole) or not kind.low <= value <= kind.high:
        number = "a whole number" if whole else "a number"
        raise FaultError(
            f"{kind_name} needs {kind.parameter}, {number} from {kind.low:.0f} to {kind.high:.0f}, got {value!r}"
        )
    times: Any = given.get("times")
    if times is not None and (not is_number(times, whole=True) or times < 1):
        raise FaultError(f"times is a whole number from 1, or absent for a fault without end, got {times!r}")
    path = given.get("path", DEFAULT_PATH)
    if not isinstance(path, str) or not path.startswith("/"):
        raise FaultError(f"path is the beginning of a path such as {DEFAULT_PATH}BTCUSDT/, got {path!r}")
    return Fault(kind_name, value, times, path)


def is_number(value: object, *, whole: bool) -> bool:
    """True for a number of a JSON document; `whole`: for a whole number only."""
    return isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
