"""Faults that the simulator shows on request: what each is called, what it needs, and which are set.

Part of the exchange simulator; no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault's one parameter and the range in which it lies, both ends included."""

    parameter: str
    low: float
    high: float
    meaning: str


BAN: Final = "ban"
BREAK_OFF: Final = "break_off"
SLOW: Final = "slow"
STATUS: Final = "status"
WRONG_BYTES: Final = "wrong_bytes"

KINDS: Final[Mapping[str, Kind]] = {
    BAN: Kind("seconds", 0, 86_400, "every address is banned from now on"),
    BREAK_OFF: Kind("after_bytes", 1, 1 << 40, "the connection dies inside a file, whose Content-Length was right"),
    SLOW: Kind("bytes_per_second", 1, 1 << 40, "a file comes no faster"),
    STATUS: Kind("code", 400, 599, "the request gets this status"),
    WRONG_BYTES: Kind("at_byte", 0, 1 << 40, "this byte of the body is another one; the ETag is the true file's"),
}

DEFAULT_PATH: Final = "/trading/"


class FaultError(ValueError):
    """A fault that does not exist or lacks its parameter; the message names what would be right."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that is set: how many times it will still show (None: until it is cleared), and on which paths."""

    kind: str
    value: float
    times: int | None = None
    path: str = DEFAULT_PATH

    def as_json(self) -> dict[str, Any]:
        """The fault as `parse_fault` takes it."""
        fields: dict[str, Any] = {"fault": self.kind, KINDS[self.kind].parameter: self.value}
        return fields if self.kind == BAN else fields | {"times": self.times, "path": self.path}


class Faults:
    """The faults that are set, in the order in which they were."""

    def __init__(self) -> None:
        self._set: list[Fault] = []

    def __iter__(self) -> Iterator[Fault]:
        return iter(tuple(self._set))

    def add(self, fault: Fault) -> None:
        """Set one more."""
        self._set.append(fault)

    def clear(self) -> None:
        """Forget all."""
        self._set.clear()

    def take(self, kind: str, path: str) -> float | None:
        """The value of the first fault of `kind` that is set for `path`, which counts as shown; None without one."""
        for place, fault in enumerate(self._set):
            if fault.kind == kind and path.startswith(fault.path):
                if fault.times == 1:
                    del self._set[place]
                elif fault.times is not None:
                    self._set[place] = replace(fault, times=fault.times - 1)
                return fault.value
        return None


def parse_fault(given: object, others: tuple[str, ...] = ()) -> Fault:
    """The fault that a JSON object describes. Raises FaultError, which says what is valid, `others` included."""
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
    if not _is_number(value, whole=whole) or not kind.low <= value <= kind.high:
        number = "a whole number" if whole else "a number"
        raise FaultError(
            f"{kind_name} needs {kind.parameter}, {number} from {kind.low:.0f} to {kind.high:.0f}, got {value!r}"
        )
    times: Any = given.get("times")
    if times is not None and (not _is_number(times, whole=True) or times < 1):
        raise FaultError(f"times is a whole number from 1, or absent for until cleared, got {times!r}")
    path = given.get("path", DEFAULT_PATH)
    if not isinstance(path, str) or not path.startswith("/"):
        raise FaultError(f"path is the beginning of a path such as {DEFAULT_PATH}BTCUSDT/, got {path!r}")
    return Fault(kind_name, value, times, path)


def _is_number(value: Any, *, whole: bool) -> bool:
    return isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
