"""The last step of a batch: the staged objects of its published days become those of the lake.

Part of the candles job; the driver and the tests import it. It follows the transaction, so readers of the lake see a
version of a file only after its candles are in BigQuery.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud import bigquery, storage  # type: ignore[attr-defined]  # a namespace package

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.bigquery import conflict_retry, query_config
from candles_batch.task import Outcome

THREADS: Final = 10
"""Number of concurrent requests: the connections that Google's client keeps open."""

ROUNDS: Final = 10
"""Upper bound on the tries for an object that other batches replace at the same time; one suffices without any."""

_OF_RUN: Final = "batch_id = @run AND symbol IN UNNEST(@symbols) AND date BETWEEN @first AND @last"

_SELECT: Final = f"SELECT symbol, date FROM `{names.INGESTS}` WHERE {_OF_RUN}"  # noqa: S608  # the names are our own

_FINISH: Final = f"UPDATE `{names.INGESTS}` SET unfinished = NULL WHERE unfinished AND {_OF_RUN}"  # noqa: S608


@dataclass(frozen=True, slots=True)
class _Replacement:
    """An object of the lake, and the staged object (BUCKET/NAME) that takes its place; empty to remove it."""

    day: tuple[str, str]
    target: str
    staged: str


def finish(client: bigquery.Client, lake: storage.Bucket, batch_id: str, outcomes: Sequence[Outcome]) -> None:
    """Replaces the lake's objects of the days that `publish` has published, then clears `ingests.unfinished`.

    A batch that is killed before leaves `unfinished` set, and a later one loads those days again. A day that another
    batch has published since keeps the objects of that one.
    """
    left = [
        _Replacement((outcome.ingest["symbol"], outcome.ingest["date"]), target, staged)
        for outcome in outcomes
        for target, staged in outcome.objects.items()
    ]
    if not left:
        return
    dates = [dt.date.fromisoformat(date) for _, date in (each.day for each in left)]
    symbols = sorted({symbol for symbol, _ in (each.day for each in left)})
    config = query_config(run=batch_id, symbols=symbols, first=min(dates), last=max(dates))

    def ours() -> set[tuple[str, str]]:
        rows = client.query_and_wait(_SELECT, job_config=config)
        return {(row["symbol"], row["date"].isoformat()) for row in rows}

    created: list[tuple[_Replacement, int]] = []
    for _ in range(ROUNDS):
        # Of two batches, the one that publishes later reads `generations` after the other has read `ours`. So either
        # the other leaves the day alone, or one of the two finds that the object has changed, and tries again.
        generations = _generations(lake, [each.target for each in left])
        days = ours()
        left = [each for each in left if each.day in days]
        with ThreadPoolExecutor(THREADS) as pool:
            before = [generations.get(each.target, 0) for each in left]
            results = list(pool.map(partial(_replace, lake), left, before))
        replaced = list(zip(left, results, strict=True))
        created += [(each, new) for each, new in replaced if new and each.target not in generations]
        left = [each for each, new in replaced if new is None]
        if not left:
            break
    else:
        raise RuntimeError(f"{left[0].target} was replaced by others {ROUNDS} times")
    # A batch that removes an object, and finds none, leaves no trace for the generations above.
    days = ours()
    for each, generation in created:
        if each.day not in days:
            with suppress(NotFound, PreconditionFailed):
                lake.blob(each.target).delete(if_generation_match=generation)
    retry = conflict_retry(maximum_s=20, timeout_s=600)
    retry(lambda: client.query(_FINISH, job_config=config, job_id_prefix=f"{batch_id}-").result())()


def delete_folder(client: storage.Client, folder: str) -> None:
    """Deletes the objects in `folder` (BUCKET/NAME)."""
    bucket, _, name = folder.partition("/")

    def delete(blob: storage.Blob) -> None:
        with suppress(NotFound):
            blob.delete()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(delete, client.list_blobs(bucket, prefix=f"{name}/", fields="items(name),nextPageToken")))


def _replace(lake: storage.Bucket, replacement: _Replacement, generation: int) -> int | None:
    """The generation of the new object, or 0 for one that is removed; None when the old one is not of `generation`."""
    blob = lake.blob(replacement.target)
    try:
        if not replacement.staged:
            if generation:
                blob.delete(if_generation_match=generation)
            return 0
        bucket, _, name = replacement.staged.partition("/")
        source, token = lake.client.bucket(bucket).blob(name), None
        while True:
            token, *_ = blob.rewrite(source, token=token, if_generation_match=generation)
            if token is None:
                return int(blob.generation)
    except PreconditionFailed:
        return None
    except NotFound:
        if replacement.staged:
            raise
        return None


def _generations(lake: storage.Bucket, targets: Iterable[str]) -> dict[str, int]:
    """The generation of each of the objects that exists."""
    folders: dict[str, list[str]] = {}
    for target in targets:
        folders.setdefault(target.partition("date=")[0], []).append(target)
    return {
        blob.name: blob.generation
        for folder, of_folder in folders.items()
        for blob in lake.client.list_blobs(
            lake,
            prefix=folder,
            start_offset=min(of_folder),
            end_offset=f"{max(of_folder)}/",  # exclusive
            fields="items(name,generation),nextPageToken",
        )
    }
