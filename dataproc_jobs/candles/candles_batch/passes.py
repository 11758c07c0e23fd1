"""The days of a batch as Spark tasks, in passes: all days at once, then those alone whose worker died.

Part of the candles job; the driver and the tests import it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import pyarrow as pa
from pyspark import SparkContext, TaskContext

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.ingests import SymbolDay
from candles_batch.task import Outcome, failed_day

PAUSES_S: Final = (10, 60)
"""Seconds before the second and the third try of days for which the lake failed; the client itself retries before."""

DIED: Final = "the worker that read the file died twice, the second time with no other day beside it"
"""Reason of a day that ends its worker, such as by its memory."""


@dataclass(frozen=True, slots=True)
class _NoOutcome:
    """A day that has to be tried again. `lake_error`: empty when its worker died."""

    item: SymbolDay
    lake_error: str = ""


def load_days(
    spark: SparkContext,
    days: Sequence[SymbolDay],
    load: Callable[[SymbolDay], Outcome],
    pauses_s: Sequence[float] = PAUSES_S,
) -> list[Outcome]:
    """The outcome of each day, in any order. `load` runs in Spark's workers, once a day unless something fails.

    An executor or a Python worker that dies takes its other days with it, so each day without an outcome is then loaded
    alone; a day whose worker dies again fails, without its file's version, so that a later batch loads it. Raises
    OSError when the lake fails for longer than `pauses_s`.
    """
    outcomes, died = _pass(spark, days, load, pauses_s)
    for item in sorted(died):
        log("WARNING", "worker died", symbol=item.symbol, date=item.day.isoformat())
        again, died_again = _pass(spark, [item], load, pauses_s)
        outcomes += [*again, *(failed_day(each, DIED) for each in died_again)]
    return outcomes


def _pass(
    spark: SparkContext, days: Sequence[SymbolDay], load: Callable[[SymbolDay], Outcome], pauses_s: Sequence[float]
) -> tuple[list[Outcome], list[SymbolDay]]:
    """The outcomes of days that are loaded at the same time, and the days whose workers died."""
    outcomes: list[Outcome] = []
    died: list[SymbolDay] = []
    for pause_s in (*pauses_s, None):
        results = spark.parallelize(days, max(len(days), 1)).map(partial(_attempt, load=load)).collect()
        outcomes += [result for result in results if isinstance(result, Outcome)]
        unfinished = [result for result in results if isinstance(result, _NoOutcome)]
        died += [result.item for result in unfinished if not result.lake_error]
        failures = [result for result in unfinished if result.lake_error]
        if not failures:
            break
        if pause_s is None:
            raise OSError(f"the lake fails for {len(failures)} days: {failures[0].item}: {failures[0].lake_error}")
        log("WARNING", "the lake fails", days=len(failures), reason=failures[0].lake_error, pause_s=pause_s)
        time.sleep(pause_s)
        days = [result.item for result in failures]
    return outcomes, died


def _attempt(item: SymbolDay, load: Callable[[SymbolDay], Outcome]) -> Outcome | _NoOutcome:
    """The outcome of one day, in a worker. Spark repeats a task only when its worker or executor has died."""
    context = TaskContext.get()
    if context is not None and context.attemptNumber() > 0:
        return _NoOutcome(item)
    try:
        return load(item)
    except (OSError, pa.ArrowException) as error:
        return _NoOutcome(item, f"{type(error).__name__}: {error}"[:1000])
