"""The summary of a backfill, which the command prints and the DAG stores.

Part of the core; any module may import it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bitcoin_pipeline.ingests import Ingest, IngestStatus, SymbolDay


@dataclass(slots=True)
class Summary:
    """The outcome of one backfill.

    `ingests`: the rows that its batches wrote; `candles`: number of candles of the days that they loaded. `unchanged`:
    days that are settled and whose files are the same. `still_failed`: the rows of days that failed before and whose
    files are the same, so that they were not computed again.
    """

    planned: list[SymbolDay] = field(default_factory=list)
    not_fetched: dict[SymbolDay, str] = field(default_factory=dict)
    not_published: list[SymbolDay] = field(default_factory=list)
    unchanged: list[SymbolDay] = field(default_factory=list)
    still_failed: list[Ingest] = field(default_factory=list)
    ingests: list[Ingest] = field(default_factory=list)
    candles: int = 0

    @property
    def failed(self) -> list[Ingest]:
        """The rows of days that its batches failed to load."""
        return [ingest for ingest in self.ingests if ingest.status is IngestStatus.FAILED]

    @property
    def is_whole(self) -> bool:
        """True when no day failed, and every day that the exchange has published was fetched."""
        return not (self.not_fetched or self.still_failed or self.failed)

    def rows(self) -> list[tuple[str, int]]:
        """The summary as a table."""
        loaded = [ingest for ingest in self.ingests if ingest.status is IngestStatus.LOADED]
        return [
            ("days planned", len(self.planned)),
            ("days loaded", len(loaded)),
            ("days without trades", sum(ingest.status is IngestStatus.NO_TRADES for ingest in self.ingests)),
            ("days unchanged", len(self.unchanged)),
            ("days not published yet", len(self.not_published)),
            ("days not fetched", len(self.not_fetched)),
            ("days failed", len(self.failed) + len(self.still_failed)),
            ("trades", sum(ingest.trades for ingest in loaded)),
            ("duplicates dropped", sum(ingest.duplicates for ingest in loaded)),
            ("rows quarantined", sum(ingest.quarantined for ingest in loaded)),
            ("candles", self.candles),
        ]

    def remarks(self) -> list[str]:
        """A line about each day that is not loaded, with the reason."""
        has_one_symbol = len({item.symbol for item in self.planned}) == 1

        def named(item: SymbolDay) -> str:
            return item.day.isoformat() if has_one_symbol else f"{item.symbol} {item.day}"

        failed = [f"failed: {named(ingest.item)}: {ingest.reason}" for ingest in self.failed]
        unchanged = "still failed, file unchanged, not computed again"
        return [
            *(f"not published yet: {named(item)}" for item in self.not_published),
            *(f"not fetched: {named(item)}: {reason}" for item, reason in sorted(self.not_fetched.items())),
            *failed,
            *(f"{unchanged}: {named(ingest.item)}: {ingest.reason}" for ingest in self.still_failed),
        ]
