"""Faults of the live side: their kinds, their parameters, and which are set.

Part of the exchange simulator; no I/O.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from local.exchange.live.frames import KLINES, TRADES
from local.exchange.shared.faults import FaultError, is_number

ABSURD_FIRST: Final = "absurd_first"
ABSURD_PAGE: Final = "absurd_page"
ABSURD_TIME: Final = "absurd_time"
BURST: Final = "burst"
DELAY: Final = "delay"
DROP: Final = "drop"
DUPLICATE: Final = "duplicate"
GARBAGE: Final = "garbage"
FRAME_TIME: Final = "frame_time"
HALF_OPEN: Final = "half_open"
HOLD: Final = "hold"
KLINE_WRONG: Final = "kline_wrong"
LATE: Final = "late"
NO_PONG: Final = "no_pong"
REFUSE: Final = "refuse"
REST_DOWN: Final = "rest_down"
REST_STALE: Final = "rest_stale"
REST_TIME: Final = "rest_time"
SHUFFLE: Final = "shuffle"
SILENCE: Final = "silence"
SPLIT: Final = "split"

GARBAGE_KINDS: Final = ("malformed", "not_an_object", "unknown_topic", "missing_fields", "wrong_types")
"""Kinds of messages against the exchange's format."""
REST_KINDS: Final = ("close", "hang", "too_many_visits", "server_error", "forbidden")
"""Ways in which REST calls fail; `forbidden` is the HTML page with status 403 of a banned address."""
CONTENTS: Final = (TRADES, KLINES)
"""Kinds of frames to which a fault can be limited; by default it is of both."""
MORE, LESS = KLINE_ERRORS = ("more", "less")
"""Ways in which volume and turnover of klines are wrong."""
STALE_DATA, STALE_ANSWER = STALE_KINDS = ("data", "answer")
"""Ways in which REST is stale: the data alone are old, or `time` is too, as that of an answer from a cache."""


@dataclass(frozen=True, slots=True)
class Number:
    """The range of a parameter, both ends included; `whole`: it is a whole number."""

    low: int
    high: int
    whole: bool = True


NUMBERS: Final[Mapping[str, Number]] = {
    "seconds": Number(0, 86_400, whole=False),
    "milliseconds": Number(-(10**13), 10**13),
    "count": Number(1, 1000),
    "trades": Number(1, 100_000),
}
"""The range of each parameter that is a number."""


@dataclass(frozen=True, slots=True)
class LiveKind:
    """A kind of fault.

    `needs` and `takes`: its required and its optional parameters. `choices`: the values of its parameter `what`. A kind
    that takes `seconds` lasts; any other is over once it has shown.
    """

    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


LIVE_KINDS: Final[Mapping[str, LiveKind]] = {
    # The first frame after a subscription has a trade that was not made, with a time so far from the exchange's.
    ABSURD_FIRST: LiveKind(("milliseconds",), ("symbol", "seconds")),
    # The answers to recent-trade have such a trade.
    ABSURD_PAGE: LiveKind(("milliseconds",), ("symbol", "seconds")),
    # Such a trade is sent.
    ABSURD_TIME: LiveKind(("milliseconds",), ("symbol",)),
    # So many further trades are made within the next second.
    BURST: LiveKind(("trades", "symbol")),
    # Every message is sent so much later, in order.
    DELAY: LiveKind(("milliseconds",), ("seconds",)),
    # Every connection ends at once.
    DROP: LiveKind(),
    # Every frame is sent twice.
    DUPLICATE: LiveKind((), ("symbol", "what", "seconds"), CONTENTS),
    # The `ts` of every frame is so far from the time at which it is sent.
    FRAME_TIME: LiveKind(("milliseconds",), ("symbol", "what", "seconds"), CONTENTS),
    # Messages of this kind, or of every kind, are sent.
    GARBAGE: LiveKind((), ("what", "count"), GARBAGE_KINDS),
    # Connections, also new ones, stay open and neither send nor answer.
    HALF_OPEN: LiveKind((), ("seconds",)),
    # Frames are sent at the end of the fault.
    HOLD: LiveKind(("seconds",), ("symbol", "what"), CONTENTS),
    # Klines have another volume and turnover than the trades.
    KLINE_WRONG: LiveKind(("what",), ("symbol", "seconds"), KLINE_ERRORS),
    # Frames are sent so much later, in order among themselves.
    LATE: LiveKind(("milliseconds",), ("symbol", "what", "seconds"), CONTENTS),
    # Pings are not answered.
    NO_PONG: LiveKind((), ("seconds",)),
    # Subscriptions to this symbol are refused.
    REFUSE: LiveKind(("symbol",), ("what", "seconds"), CONTENTS),
    # REST calls fail in this way.
    REST_DOWN: LiveKind((), ("what", "seconds"), REST_KINDS),
    # REST answers with the data of so long ago.
    REST_STALE: LiveKind(("milliseconds",), ("what", "seconds"), STALE_KINDS),
    # REST's time is so far from the exchange's.
    REST_TIME: LiveKind(("milliseconds",), ("seconds",)),
    # Each frame is sent up to so much later, which changes their order.
    SHUFFLE: LiveKind(("milliseconds",), ("seconds",)),
    # Trades are made, but no frame of this symbol, or of any, is sent.
    SILENCE: LiveKind((), ("symbol", "what", "seconds"), CONTENTS),
    # Every trade is sent in a frame of its own.
    SPLIT: LiveKind((), ("seconds",)),
}
"""Every kind of fault by its name."""


@dataclass(frozen=True, slots=True)
class LiveFault:
    """A fault and its parameters; `seconds` None: it lasts until it is cleared."""

    kind: str
    symbol: str | None = None
    what: str | None = None
    seconds: float | None = None
    milliseconds: int = 0
    count: int = 1
    trades: int = 0

    @property
    def lasts(self) -> bool:
        """False for a fault that is over once it has shown."""
        kind = LIVE_KINDS[self.kind]
        return "seconds" in (*kind.needs, *kind.takes)

    def as_json(self) -> dict[str, Any]:
        """The fault in the form that `parse_live_fault` reads."""
        kind = LIVE_KINDS[self.kind]
        return {"fault": self.kind, **{name: getattr(self, name) for name in (*kind.needs, *kind.takes)}}


class LiveFaults:
    """The faults that are set and last still. `monotonic` returns the seconds of a clock that is never set."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._set: list[tuple[float, LiveFault]] = []
        self._chance = random.Random(0)  # noqa: S311  # not for a secret

    def __iter__(self) -> Iterator[LiveFault]:
        """The faults that last still, each with the seconds that remain."""
        now = self._monotonic()
        for until, fault in self._set:
            if until > now:
                yield replace(fault, seconds=None if fault.seconds is None else until - now)

    def add(self, fault: LiveFault) -> None:
        """Set a further fault."""
        now = self._monotonic()
        self._set = [(until, other) for until, other in self._set if until > now]
        self._set.append((float("inf") if fault.seconds is None else now + fault.seconds, fault))

    def clear(self) -> None:
        """Clear every fault."""
        self._set.clear()

    def get(self, kind: str, symbol: str | None = None, content: str | None = None) -> LiveFault | None:
        """The latest fault of `kind` that applies to `symbol` and to frames of `content`; None where none does."""
        found = self._find(kind, symbol, content)
        return found and found[1]

    def delay_seconds(self) -> float:
        """The delay of every message."""
        fault = self.get(DELAY)
        return fault.milliseconds / 1000 if fault else 0.0

    def frame_delay_seconds(self, symbol: str, content: str) -> float:
        """The delay of one frame beside that of every message, in part a random one."""
        if not self._set:
            return 0.0
        shuffle, late = self.get(SHUFFLE), self.get(LATE, symbol, content)
        seconds = self._chance.uniform(0, shuffle.milliseconds / 1000) if shuffle else 0.0
        return seconds + late.milliseconds / 1000 if late else seconds

    def held_until(self, symbol: str, content: str) -> float:
        """The instant before which no such frame is sent; 0 where none is held."""
        found = self._find(HOLD, symbol, content)
        return found[0] if found else 0.0

    def _find(self, kind: str, symbol: str | None, content: str | None) -> tuple[float, LiveFault] | None:
        """The fault that `get` returns, after the instant at which it ends."""
        if self._set:
            now = self._monotonic()
            for until, fault in reversed(self._set):
                is_of_content = content is None or fault.what in (None, content)
                if fault.kind == kind and until > now and fault.symbol in (None, symbol) and is_of_content:
                    return until, fault
        return None


def parse_live_fault(given: Mapping[str, Any], symbols: list[str]) -> LiveFault:
    """The fault that a JSON object describes, in a market of `symbols`. Raises FaultError with the valid values."""
    name: str = given["fault"]
    kind = LIVE_KINDS[name]
    valid = {*kind.needs, *kind.takes}
    unknown = sorted(str(key) for key in given.keys() - valid - {"fault"})
    if unknown:
        raise FaultError(f"{name} takes {', '.join(sorted(valid)) or 'nothing'}, got {', '.join(unknown)}")
    values = {key: value for key, value in given.items() if key != "fault" and value is not None}
    missing = [key for key in kind.needs if key not in values]
    if missing:
        raise FaultError(f"{name} needs {', '.join(missing)}")
    for key, value in values.items():
        if key in NUMBERS:
            _check_number(name, key, value)
        elif key == "what" and value not in kind.choices:
            raise FaultError(f"what of {name} is one of {', '.join(kind.choices)}, got {value!r}")
        elif key == "symbol" and value not in symbols:
            raise FaultError(f"symbol must be one of {', '.join(symbols)}, got {value!r}")
    return LiveFault(name, **values)


def _check_number(name: str, parameter: str, value: Any) -> None:
    number = NUMBERS[parameter]
    low = 0 if name in (DELAY, LATE, REST_STALE, SHUFFLE) else number.low  # a message can be late, not early
    if not is_number(value, whole=number.whole) or not low <= value <= number.high:
        kind = "a whole number" if number.whole else "a number"
        raise FaultError(f"{parameter} of {name} is {kind} from {low} to {number.high}, got {value!r}")
