"""Progress bars of long commands, on stderr. Imported by `local.command.data`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from local.command.output import STDERR
from local.command.steps import rate_text


class RateColumn(ProgressColumn):
    """The rate of a step since its begin, and the time that the rest takes at this rate."""

    def render(self, task: Task) -> Text:
        """The text for a step."""
        if task.total is None or task.finished:
            return Text()
        return Text(rate_text(int(task.completed), int(task.total), task.elapsed or 0))


class ShownProgress:
    """A `local.command.steps.Progress` that draws bars."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._steps: dict[str, TaskID] = {}

    def step(self, title: str, total: int | None) -> None:
        """See local.command.steps.Progress."""
        self._steps[title] = self._bars.add_task(title, total=total)

    def advance(self, title: str, count: int = 1) -> None:
        """See local.command.steps.Progress."""
        self._bars.advance(self._steps[title], count)

    def note(self, text: str) -> None:
        """See local.command.steps.Progress."""
        self._bars.console.print(text)

    def finish(self) -> None:
        """Stop the clocks of steps without parts."""
        for task in self._bars.tasks:
            if task.total is None:
                self._bars.update(task.id, total=1, completed=1)


@contextmanager
def shown_progress() -> Iterator[ShownProgress]:
    """Progress that is drawn until the context ends."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        RateColumn(),
    )
    with Progress(*columns, console=STDERR) as bars:
        shown = ShownProgress(bars)
        yield shown
        shown.finish()
