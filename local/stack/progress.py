"""Progress of `up` and `down` on the screen: one line that is renewed in a terminal, one line per event elsewhere.

Imported by the `pipeline` command and by the other modules of `local.stack`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.status import Status


class Report(Protocol):
    """Receives the progress of a start or a stop."""

    def step(self, text: str) -> None:
        """Records that a step begins."""

    def waiting(self, seconds: Mapping[str, float]) -> None:
        """Records what is being waited for and for how many seconds each; called several times a second."""

    def done(self, name: str, seconds: float) -> None:
        """Records that a service or preparation is done, and how many seconds it took."""


class Silent:
    """A report that drops everything, for tests and programs."""

    def step(self, text: str) -> None:
        """Implements `Report`."""

    def waiting(self, seconds: Mapping[str, float]) -> None:
        """Implements `Report`."""

    def done(self, name: str, seconds: float) -> None:
        """Implements `Report`."""


class PlainReport:
    """A report that prints one line per event, for logs."""

    def __init__(self, console: Console, word: str) -> None:
        self._console = console
        self._word = word

    def step(self, text: str) -> None:
        """Implements `Report`."""
        self._console.print(text, markup=False, highlight=False)

    def waiting(self, seconds: Mapping[str, float]) -> None:
        """Prints nothing, since waiting is no event."""

    def done(self, name: str, seconds: float) -> None:
        """Implements `Report`."""
        self.step(f"{self._word}: {name} ({seconds:.1f} s)")


class ShownReport(PlainReport):
    """A report that prints the same lines, and below them a status line with what is waited for."""

    def __init__(self, console: Console, word: str, status: Status) -> None:
        super().__init__(console, word)
        self._status = status

    def waiting(self, seconds: Mapping[str, float]) -> None:
        """Implements `Report`."""
        longest_first = sorted(seconds.items(), key=lambda item: -item[1])
        words = ", ".join(f"{name} {waited:.0f} s" for name, waited in longest_first)
        self._status.update(f"waiting for {words}" if words else "")


@contextmanager
def reported(console: Console, word: str) -> Iterator[Report]:
    """A report on `console`. `word`: the state of a service that is done, up or down."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainReport(console, word)
        return
    with console.status("", refresh_per_second=4) as status:
        yield ShownReport(console, word, status)
