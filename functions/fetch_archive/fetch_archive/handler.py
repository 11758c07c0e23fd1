"""The HTTP handler of the function `fetch_archive`: a request is parsed, fetched and answered.

The function's main.py and its tests import it.
"""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import Final

import flask
import requests
from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

from bitcoin_pipeline.adapters.bybit_http import BannedError, BybitArchive
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.answers import exchange_ban, failure, refusal
from bitcoin_pipeline.errors import FinalError, RetryableError
from bitcoin_pipeline.listings import MAX_REQUEST, BadRequestError, ListingRequest, parse_request
from fetch_archive.fetch import fetch
from fetch_archive.lake import Buckets
from fetch_archive.listing import list_days
from fetch_archive.settings import Settings

USER_AGENT: Final = "bitcoin-pipeline/0.1 (fetch_archive)"


class Handler:
    """Answers the requests of one instance, which share the request rate and a ban of the exchange."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._exchange = BybitArchive(
            settings.archive_url, settings.listing_url, settings.ban_s, requests.Session(), log, user_agent=USER_AGENT
        )

    @cached_property
    def _buckets(self) -> Buckets:
        client = storage.Client()
        return Buckets(client.bucket(self._settings.lake), client.bucket(self._settings.staging))

    def handle(self, request: flask.Request) -> flask.typing.ResponseReturnValue:
        """The answer to one request."""
        if refused := refusal(request.method):
            return refused
        try:
            wanted = parse_request(request.stream.read(MAX_REQUEST + 1))
        except BadRequestError as error:
            return {"error": str(error)}, 400
        try:
            today = dt.datetime.now(dt.UTC).date()
            if isinstance(wanted, ListingRequest):
                return list_days(wanted, today, self._exchange, self._buckets.lake)
            return fetch(wanted.item, today, self._exchange, self._buckets, file=wanted.file)
        except BannedError as error:
            return exchange_ban(str(error), error.seconds)
        except (RetryableError, FinalError) as error:
            log("ERROR", "fetch failed", **wanted.as_json(), reason=str(error))
            return failure(error)
