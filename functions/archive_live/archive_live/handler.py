"""HTTP of the function `archive_live`.

The function's main.py and its tests import it.
"""

from __future__ import annotations

import time
from dataclasses import asdict

import flask

from archive_live.archive import archive
from archive_live.settings import Settings
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.answers import failure, refusal
from bitcoin_pipeline.errors import RetryableError


class Handler:
    """Answers the requests of one instance."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def handle(self, request: flask.Request) -> flask.typing.ResponseReturnValue:
        """The answer to one request."""
        if refused := refusal(request.method):
            return refused
        started = time.monotonic()
        try:
            figures = archive(self._settings)
        except RetryableError as error:
            log("ERROR", "archiving failed", reason=str(error))
            return failure(error)
        if figures.objects:
            log("INFO", "trades archived", seconds=round(time.monotonic() - started, 1), **asdict(figures))
        return asdict(figures)
