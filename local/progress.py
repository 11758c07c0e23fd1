"""What `up` and `down` are at, for whoever looks: a line that is renewed in a terminal, else a line an event.

Used by the `pipeline` command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.status import Status


class Report(Protocol):
    """Who is told of progress."""

    def tell(self, text: str) -> None:
        """A step begins."""

    def waiting(self, seconds: Mapping[str, float]) -> None:
        """These are waited for, each for so long now; called often."""

    def done(self, name: str, seconds: float) -> None:
        """This one is not waited for any more, after so long."""


class Silent:
    """Nobody is told."""

    def tell(self, text: str) -> None:
        """See Report."""

    def waiting(self, seconds: Mapping[str, float]) -> None:
        """See Report."""

    def done(self, name: str, seconds: float) -> None:
        """See Report."""


class PlainReport:
    """One line an event, for logs."""

    def __init__(self, console: Console, word: str) -> None:
        self._console = console
        self._word = word

    def tell(self, text: str) -> None:
        """See Report."""
        self._console.print(text, markup=False, highlight=False)

    def waiting(self, seconds: Mapping[str, float]) -> None:
        """Nothing: it is no event."""

    def done(self, name: str, seconds: float) -> None:
        """See Report."""
        self.tell(f"{self._word}: {name} ({seconds:.1f} s)")


class ShownReport(PlainReport):
    """The same lines, and below them what is waited for."""

    def __init__(self, console: Console, word: str, status: Status) -> None:
        super().__init__(console, word)
        self._status = status

    def waiting(self, seconds: Mapping[str, float]) -> None:
        """See Report."""
        longest_first = sorted(seconds.items(), key=lambda item: -item[1])
        words = ", ".join(f"{name} {waited:.0f} s" for name, waited in longest_first)
        self._status.update(f"waiting for {words}" if words else "")


@contextmanager
def reported(console: Console, word: str) -> Iterator[Report]:
    """A report on `console`; `word` says what a service is when it is done: up, or down."""
    if not console.is_terminal:
        yield PlainReport(console, word)
        return
    with console.status("", refresh_per_second=4) as status:
        yield ShownReport(console, word, status)
