"""The settings of the DAGs, which Terraform sets as variables of the environment; imported by all files of the DAGs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from bitcoin_pipeline.deployment import BackfillSettings
from bitcoin_pipeline.settings import read_settings, setting, whole
from bitcoin_pipeline.symbols import parse_symbols


@dataclass(frozen=True, slots=True, kw_only=True)
class DagSettings(BackfillSettings):
    """The deployed pipeline, the symbols that are loaded daily, and how often calls are repeated."""

    symbols: tuple[str, ...] = setting("PIPELINE_SYMBOLS", "symbols loaded daily, comma-separated", parse_symbols)
    events_topic: str = setting("PIPELINE_EVENTS_TOPIC", "Pub/Sub topic of events, projects/P/topics/T", str, "")
    archive_poll_s: int = setting(
        "PIPELINE_ARCHIVE_POLL_SECONDS", "pause between two requests for a file", whole("seconds", 86_400, 1), 1800
    )
    batch_poll_s: int = setting(
        "PIPELINE_BATCH_POLL_SECONDS", "pause between two requests for a batch's state", whole("seconds", 600, 1), 10
    )
    retry_s: int = setting(
        "PIPELINE_TASK_RETRY_SECONDS", "pause before a task's first retry", whole("seconds", 3600, 1), 120
    )


SETTINGS: Final = read_settings(DagSettings, os.environ)
"""The settings of this environment. Without them, the import of a DAG fails with a message that names all faults."""
