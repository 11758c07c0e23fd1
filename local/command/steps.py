"""Definitions that the steps of a backfill share: its progress, and retries of calls that fail for a while.

Imported by `local.command.backfill` and the modules of its steps.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from bitcoin_pipeline.planning import BackfillError

OUTAGE_S: Final = 120
"""Time of failing calls after which the command gives up; a supervisor restarts a service within seconds."""

QUOTA_S: Final = 3600
"""Time of calls that exceed a quota after which the command gives up; Google's quotas are of a minute or of a day."""

_T = TypeVar("_T")


class Progress(Protocol):
    """Shows how far the steps of a long command are; safe to use from several threads."""

    def step(self, title: str, total: int | None) -> None:
        """Begin a step of `total` parts; None for a step without parts."""

    def advance(self, title: str, count: int = 1) -> None:
        """Count parts of the step `title` as done."""

    def note(self, text: str) -> None:
        """Show a line about an event."""


def through_outages(
    what: str, call: Callable[[], _T], passing: tuple[type[Exception], ...], quota: tuple[type[Exception], ...] = ()
) -> _T:
    """The result of `call`, which is repeated with growing pauses while it raises one of `passing` or `quota`.

    Raises BackfillError after OUTAGE_S of errors in `passing`, or after QUOTA_S of errors in `quota`, whose pauses are
    longer.
    """
    from google.api_core import exceptions, retry

    outage = retry.Retry(retry.if_exception_type(*passing), initial=0.5, maximum=20, timeout=OUTAGE_S)
    exhausted = retry.Retry(retry.if_exception_type(*quota), initial=20, maximum=300, timeout=QUOTA_S)
    try:
        return exhausted(outage(call))()
    except exceptions.RetryError as error:
        seconds = QUOTA_S if isinstance(error.cause, quota) else OUTAGE_S
        raise BackfillError(f"{what} has failed for {seconds} s: {error.cause}") from error


def rate_text(done: int, total: int, seconds: float) -> str:
    """`12.5/s, 2:36:00 left`: the rate of `done` parts in `seconds`, and the time of the rest at it; or nothing yet."""
    if not done or seconds <= 0:
        return ""
    left = dt.timedelta(seconds=round((total - done) * seconds / done))
    return f"{done / seconds:.3g}/s, {left} left"
