"""The second step of a backfill: a Dataproc batch computes the candles of days and records the days.

Imported by `local.command.backfill`. The id of a batch follows from its work, so a command that is started again waits
for the batch that an earlier one has left running, and starts no other. An interrupt leaves the batch running as well.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, Final, TypeVar

from bitcoin_pipeline.backoff import backoff_us
from bitcoin_pipeline.planning import BackfillError
from bitcoin_pipeline.times import SECOND_US
from local.command.cloud import Cloud
from local.command.steps import Progress, through_outages

BATCH_TRIES: Final = 3
"""Number of batches that one run of the command sees fail before it gives up."""

_POLL_S = 0.5
_PAUSE_US = 10 * SECOND_US
_QUOTA_PAUSE_US = 300 * SECOND_US
_LONGEST_PAUSE_US = 900 * SECOND_US

_T = TypeVar("_T")


def run_batch(
    cloud: Cloud,
    batch_id: Callable[[int], str],
    description: Callable[[str], dict[str, Any]],
    is_recorded: Callable[[], bool],
    progress: Progress,
) -> None:
    """Return when a batch has done the work.

    `batch_id`: the id of the try of that number, counted from 1; a number is taken once. `description`: the batch of
    that id. `is_recorded`: whether `ingests` has the result of the work. Raises BackfillError when Dataproc is out of
    reach, or after BATCH_TRIES failed batches.
    """
    from google.cloud.dataproc_v1 import Batch

    failures = 0
    for attempt in count(1):
        name = batch_id(attempt)
        batch, had_ended = _ended_batch(cloud, name, description(name), progress)
        # The rows of a batch that had ended before may have been deleted since.
        if batch.state == Batch.State.SUCCEEDED and (not had_ended or is_recorded()):
            return
        if had_ended:
            continue
        failures += 1
        progress.note(f"batch {name} {batch.state.name.lower()}: {batch.state_message} (failure {failures})")
        if failures == BATCH_TRIES:
            raise BackfillError(f"the batch failed {failures} times; its output: {batch.runtime_info.output_uri}")
        # A batch for which the project's quota of CPUs or disks is too small fails with a message about the quota.
        first_us = _QUOTA_PAUSE_US if "quota" in batch.state_message.lower() else _PAUSE_US
        time.sleep(backoff_us(failures - 1, first_us, _LONGEST_PAUSE_US, random.random) / SECOND_US)


def dataproc_call(call: Callable[[], _T]) -> _T:
    """The result of a call of Dataproc's API, which is repeated after errors that pass."""
    from google.api_core import exceptions

    passing = (
        exceptions.ServiceUnavailable,
        exceptions.DeadlineExceeded,
        exceptions.InternalServerError,
        exceptions.Unknown,
        exceptions.Aborted,
    )
    return through_outages("Dataproc", call, passing, quota=(exceptions.TooManyRequests,))


def wait_until_ended(cloud: Cloud, name: str, progress: Progress) -> None:
    """Return when the batch `name` does not run; it may have been deleted since."""
    from google.api_core import exceptions

    get = partial(cloud.batches().get_batch, name=f"{_parent(cloud)}/batches/{name}", timeout=30)
    with suppress(exceptions.NotFound):
        _end_of(dataproc_call(get), get, progress)


def _ended_batch(cloud: Cloud, name: str, description: dict[str, Any], progress: Progress) -> tuple[Any, bool]:
    """The batch `name` once it has ended, and whether it had before this call; it is created if it does not exist."""
    from google.api_core import exceptions

    client = cloud.batches()
    request = {"parent": _parent(cloud), "batch_id": name, "batch": description}

    def create() -> bool:
        try:
            client.create_batch(request=request, timeout=30)
        except exceptions.AlreadyExists:
            return False
        return True

    get = partial(client.get_batch, name=f"{_parent(cloud)}/batches/{name}", timeout=30)
    # A batch exists also when an earlier request was accepted and yet answered with an error.
    is_new = dataproc_call(create)
    batch = dataproc_call(get)
    had_ended = not is_new and _has_ended(batch)
    return _end_of(batch, get, None if is_new else progress), had_ended


def _end_of(batch: Any, get: Callable[[], Any], progress: Progress | None) -> Any:
    """The batch once it has ended. `progress`: takes a note about one that another run has begun."""
    if progress and not _has_ended(batch):
        name = batch.name.rpartition("/")[2]
        progress.note(f"batch {name} is {batch.state.name.lower()} already; waiting for it")
    while not _has_ended(batch):
        time.sleep(_POLL_S)
        batch = dataproc_call(get)
    return batch


def _has_ended(batch: Any) -> bool:
    from google.cloud.dataproc_v1 import Batch

    return batch.state in (Batch.State.SUCCEEDED, Batch.State.FAILED, Batch.State.CANCELLED)


def _parent(cloud: Cloud) -> str:
    return f"projects/{cloud.settings.project}/locations/{cloud.settings.region}"
