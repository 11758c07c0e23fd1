"""The open gaps of one symbol; no I/O.

Part of the core; imported by `symbol_feed` and `closing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from bitcoin_pipeline.live.actions import Action, GapChanged, Publish
from bitcoin_pipeline.live.records import Gap, GapState, gap_record
from bitcoin_pipeline.live.sent_minutes import SentMinutes
from bitcoin_pipeline.times import MINUTE_US, floor_us, iso


class GapLedger:
    """Opens, ends and closes gaps, and keeps the minutes of each that are not whole.

    `gaps`: open when the ledger begins, by id, of workers before this one. `token`: differs between workers, so that a
    gap id is never used twice. `minutes`: those of the symbol that are known. `opened`: how many gaps this ledger has
    opened. `growing`: the gap without an end.
    """

    def __init__(self, symbol: str, token: str, gaps: Mapping[str, Gap], minutes: SentMinutes | None = None) -> None:
        self.opened = 0
        self._symbol: Final = symbol
        self._token: Final = token
        self._gaps = dict(gaps)
        self._minutes: Final = SentMinutes() if minutes is None else minutes
        self._missing = {gap.gap_id: self._minutes_of(gap) for gap in gaps.values()}

    @property
    def growing(self) -> Gap | None:
        """The gap that has no end, as the symbol is away."""
        return next((gap for gap in self._gaps.values() if gap.to_us is None), None)

    def touches(self, open_us: int) -> bool:
        """Whether an open gap touches the minute."""
        return any(
            floor_us(gap.from_us) <= open_us <= floor_us(gap.from_us if gap.to_us is None else gap.to_us)
            for gap in self._gaps.values()
        )

    def open(self, from_us: int, to_us: int | None) -> list[Action]:
        """Open a gap; `to_us` None: it grows."""
        # The id of a closed gap is not used again: its readers take it for closed.
        self.opened += 1
        gap_id = f"{self._symbol}-{iso(from_us)}-{self._token}-{self.opened}"
        gap = Gap(gap_id, self._symbol, from_us, to_us, GapState.OPENED)
        self._missing[gap_id] = self._minutes_of(gap)
        return self._record(gap)

    def end(self, to_us: int) -> list[Action]:
        """Set the end of every growing gap."""
        actions: list[Action] = []
        for gap in [gap for gap in self._gaps.values() if gap.to_us is None]:
            ended = replace(gap, to_us=max(gap.from_us, to_us))
            self._missing[gap.gap_id] = self._minutes_of(ended)
            actions += self._record(ended)
            if not self._missing[gap.gap_id]:
                actions += self._record(replace(ended, state=GapState.CLOSED))
        return actions

    def whole(self, open_us: int) -> list[Action]:
        """Close the gaps whose minutes are all whole, now that this one is."""
        actions: list[Action] = []
        for gap in list(self._gaps.values()):
            missing = self._missing[gap.gap_id]
            if gap.to_us is not None and open_us in missing:
                missing.discard(open_us)
                if not missing:
                    actions += self._record(replace(gap, state=GapState.CLOSED))
        return actions

    def minutes(self) -> Iterable[int]:
        """The minutes that keep a gap with an end open."""
        return {open_us for gap_id, missing in self._missing.items() if self._gaps[gap_id].to_us for open_us in missing}

    def forget(self, oldest_us: int) -> None:
        """Release the gaps that begin before `oldest_us`: they can no longer be filled."""
        for gap in [gap for gap in self._gaps.values() if gap.to_us is not None and gap.from_us < oldest_us]:
            del self._gaps[gap.gap_id], self._missing[gap.gap_id]

    def _record(self, gap: Gap) -> list[Action]:
        if gap.state is GapState.OPENED:
            self._gaps[gap.gap_id] = gap
        else:
            del self._gaps[gap.gap_id], self._missing[gap.gap_id]
        return [Publish(self._symbol, [gap_record(gap)]), GapChanged(gap)]

    def _minutes_of(self, gap: Gap) -> set[int]:
        """The minutes that an ended gap touches and that are not whole."""
        touched = range(floor_us(gap.from_us), (gap.to_us or 0) + 1, MINUTE_US)
        return {open_us for open_us in touched if open_us not in self._minutes or not self._minutes[open_us].is_whole}
