"""The HTTP handler of the function `publish_live`.

The function's main.py and its tests import it.
"""

from __future__ import annotations

import datetime as dt
import time
from functools import cached_property

import flask
from google.cloud import bigquery

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.answers import failure, refusal
from bitcoin_pipeline.errors import RetryableError
from publish_live.publication import publish
from publish_live.settings import Settings


class Handler:
    """Answers the requests of one instance, which share BigQuery's client."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _warehouse(self) -> bigquery.Client:
        # The script of a merge needs its location: BigQuery cannot derive it from a first statement without a table.
        return bigquery.Client(self._settings.project, location=self._settings.location)

    def handle(self, request: flask.Request) -> flask.typing.ResponseReturnValue:
        """The answer to one request."""
        if refused := refusal(request.method):
            return refused
        started = time.monotonic()
        try:
            answer = publish(self._warehouse, dt.datetime.now(dt.UTC), dt.timedelta(days=self._settings.keep_days))
        except RetryableError as error:
            log("ERROR", "publishing failed", reason=str(error))
            return failure(error)
        if answer["sent"] or answer["pruned"]:
            log("INFO", "candles published", seconds=round(time.monotonic() - started, 1), **answer)
        return answer
