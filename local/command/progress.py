"""Progress bars of long commands, on stderr. Imported by `local.command.data`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from local.command.output import STDERR


class ShownProgress:
    """A `local.command.steps.Progress` that draws bars."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def step(self, title: str, total: int | None) -> None:
        """See local.command.steps.Progress."""
        self.finish()
        self._task = self._bars.add_task(title, total=total)

    def advance(self) -> None:
        """See local.command.steps.Progress."""
        if self._task is not None:
            self._bars.advance(self._task)

    def note(self, text: str) -> None:
        """See local.command.steps.Progress."""
        self._bars.console.print(text)

    def finish(self) -> None:
        """Stop the clock of the current step."""
        if self._task is not None and self._bars.tasks[self._task].total is None:
            self._bars.update(self._task, total=1, completed=1)


@contextmanager
def shown_progress() -> Iterator[ShownProgress]:
    """Progress that is drawn until the context ends."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=STDERR) as bars:
        shown = ShownProgress(bars)
        yield shown
        shown.finish()
