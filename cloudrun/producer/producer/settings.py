"""The producer's settings, read from the environment.

Part of the producer.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitcoin_pipeline.broker import BrokerSettings
from bitcoin_pipeline.settings import parse_port, setting, url_of, whole
from bitcoin_pipeline.symbols import parse_symbols


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(BrokerSettings):
    """What the environment decides."""

    symbols: tuple[str, ...] = setting("PIPELINE_SYMBOLS", "linear symbols, with commas between", parse_symbols)
    ws_url: str = setting(
        "BYBIT_WS_URL", "the public websocket", url_of("wss", "ws"), "wss://stream.bybit.com/v5/public/linear"
    )
    rest_url: str = setting("BYBIT_REST_URL", "the REST calls' host", url_of("https", "http"), "https://api.bybit.com")
    margin_ms: int = setting(
        "PRODUCER_MARGIN_MS", "how far the exchange's own ways may differ in time", whole("milliseconds", 99_999), 250
    )
    connections: int = setting(
        "PRODUCER_CONNECTIONS", "connections that share the symbols", whole("connections", 50, 1), 1
    )
    events_topic: str = setting("PIPELINE_EVENTS_TOPIC", "Pub/Sub topic of events, projects/P/topics/T", str, "")
    host: str = setting("HOST", "where the health port listens", str, "127.0.0.1")
    port: int = setting("PORT", "the health port", parse_port, 8080)
