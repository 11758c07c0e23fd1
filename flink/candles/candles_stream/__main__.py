"""`python -m candles_stream` keeps the candles job running on a Flink cluster until it is ended.

Runs beside the cluster: on the master of a Dataproc cluster as a system service, on one machine under its supervisor.
Answers GET on its port with 200 while all tasks of the job run, else with 503. Nothing imports it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from confluent_kafka import KafkaException

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.errors import RetryableError
from bitcoin_pipeline.settings import SettingsError, read_settings
from candles_stream.keeper import Keeper, KeeperSettings
from candles_stream.rest import FlinkRest
from candles_stream.stores import store_at

_PAUSE_S: Final = 0.5


def main() -> None:
    """Keep the job running. The exit code is 2 for wrong settings; nothing else ends it but a signal."""
    try:
        settings = read_settings(KeeperSettings, os.environ)
    except SettingsError as error:
        log("CRITICAL", "settings are wrong", reason=str(error))
        sys.exit(2)
    keeper = Keeper(settings, FlinkRest(settings.rest_url), store_at(settings.checkpoints))
    _serve_health(keeper, settings.host, settings.port)
    answered = True
    while True:
        try:
            keeper.step()
            answered = True
        except (OSError, subprocess.TimeoutExpired, KafkaException, RetryableError) as error:
            keeper.is_healthy = False
            if answered:
                log("ERROR", "something does not answer", error=error)
            answered = False
        time.sleep(_PAUSE_S)


def _serve_health(keeper: Keeper, host: str, port: int) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            self.send_response(200 if keeper.is_healthy else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing: a probe is no event."""

    threading.Thread(target=ThreadingHTTPServer((host, port), Health).serve_forever, daemon=True).start()


if __name__ == "__main__":
    main()
