"""What the user chooses for `pipeline up`: the options of the command and the variables of either market.

Imported by the `pipeline` command and by the other modules of `local.stack`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields

from bitcoin_pipeline.settings import read_settings, setting, url_of
from bitcoin_pipeline.symbols import parse_symbols, symbols_among
from local.exchange.synthetic.profiles import SYMBOLS


def _number(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}, got {text!r}")
        return value

    return parse


@dataclass(frozen=True, slots=True)
class SyntheticMarket:
    """Settings of the synthetic market's live side."""

    symbols: tuple[str, ...] = setting("PIPELINE_SYMBOLS", "the symbols traded", symbols_among(SYMBOLS), SYMBOLS)
    rate: float = setting(
        "PIPELINE_SYNTHETIC_RATE", "trades a second over all symbols", _number(float, 0.001, 1e5), 10.0
    )
    clock_offset_ms: int = setting(
        "PIPELINE_CLOCK_OFFSET_MS",
        "how far the exchange's clock is ahead of this machine's",
        _number(int, -3_600_000, 3_600_000),
        0,
    )


@dataclass(frozen=True, slots=True)
class BybitSettings:
    """Settings of the real exchange; an empty address stands for the deployables' own default."""

    symbols: tuple[str, ...] = setting(
        "PIPELINE_SYMBOLS", "linear symbols, comma-separated", parse_symbols, ("BTCUSDT",)
    )
    ws_url: str = setting("BYBIT_WS_URL", "the public websocket", url_of("wss", "ws"), "")
    rest_url: str = setting("BYBIT_REST_URL", "the host of REST calls", url_of("https", "http"), "")
    archive_url: str = setting("BYBIT_ARCHIVE_URL", "the archive's host", url_of("https", "http"), "")
    listing_url: str = setting("BYBIT_LISTING_URL", "the archive's bucket", url_of("https", "http"), "")
    ban_seconds: float = setting("BYBIT_BAN_SECONDS", "the pause after a ban", _number(float, 0, 86_400), 0)


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose for `up`; a running stack keeps its own.

    `synthetic`: the variables of the synthetic market that are set. `bybit`: those of the real exchange; None when the
    exchange is simulated. `airflow`: whether the DAGs run, too. `images`: the images that replace others, of a stack in
    containers; None for processes.
    """

    archive_dir: str | None = None
    capture: str | None = None
    speed: float | None = None
    synthetic: dict[str, str] = field(default_factory=dict)
    bybit: dict[str, str] | None = None
    airflow: bool = False
    add_files: str | None = None
    images: dict[str, str] | None = None

    @property
    def backing(self) -> str:
        """How services run, as `--backing` spells it."""
        return "process" if self.images is None else "container"

    @property
    def source(self) -> str:
        """Where the trades come from, as `--source` spells it."""
        return "simulator" if self.bybit is None else "bybit"

    def spelled(self) -> str:
        """The options as the user would write them."""
        words = [
            f"--{name.replace('_', '-')} {value}"
            for name, value in asdict(self).items()
            if isinstance(value, str | float)
        ]
        words += ["--airflow"] if self.airflow else []
        words += ["--source bybit"] if self.bybit is not None else []
        words += ["--backing container"] if self.images is not None else []
        words += [f"{name}={text}" for name, text in {**self.synthetic, **(self.bybit or {})}.items()]
        return " ".join(words) or "no options"


def synthetic_chosen(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of the synthetic market that differ from its defaults. Raises SettingsError for a wrong one."""
    market, default = read_settings(SyntheticMarket, environ), SyntheticMarket()
    return {
        item.metadata["variable"]: environ[item.metadata["variable"]]
        for item in fields(SyntheticMarket)
        if getattr(market, item.name) != getattr(default, item.name)
    }


def bybit_chosen(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of the real exchange that are set. Raises SettingsError for a wrong one."""
    read_settings(BybitSettings, environ)
    variables = [item.metadata["variable"] for item in fields(BybitSettings)]
    return {name: environ[name] for name in variables if environ.get(name)}
