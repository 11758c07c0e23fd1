"""The entry point of the Cloud Function `publish_live`, which functions-framework loads; no module imports it."""

from __future__ import annotations

import os

import flask

from bitcoin_pipeline.settings import read_settings
from publish_live.handler import Handler
from publish_live.settings import Settings

# Read when the server starts, so that a wrong setting stops the deployment and not the first call.
_HANDLER = Handler(read_settings(Settings, os.environ))


def publish_live(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Handle one HTTP request of the function."""
    return _HANDLER.handle(request)
