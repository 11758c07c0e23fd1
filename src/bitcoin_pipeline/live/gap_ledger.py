"""The open gaps of one symbol; no I/O.

Part of the core; imported by `symbol_feed` and `closing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from bitcoin_pipeline.live.actions import Action, GapChanged, Publish
from bitcoin_pipeline.live.records import Gap, GapState, gap_record
from bitcoin_pipeline.live.sent_minutes import SentMinutes
from bitcoin_pipeline.times import MINUTE_US, floor_us, iso


class GapLedger:
    """Opens, ends and closes gaps.

    `gaps`: open when the ledger begins, by id, of workers before this one. `token`: differs between workers, so that a
    gap id is never used twice. `minutes`: those of the symbol that are known; a gap is closed when all that it touches
    are whole. `opened`: how many gaps this ledger has opened.

    An earlier worker may still be at work, and end and close its growing gap itself. So that gap is closed no sooner
    than `take_over` is called, with its end at once, and what is lost within it is in a gap of this ledger.
    """

    def __init__(self, symbol: str, token: str, gaps: Mapping[str, Gap], minutes: SentMinutes) -> None:
        self.opened = 0
        self._symbol: Final = symbol
        self._token: Final = token
        self._gaps = dict(gaps)
        self._inherited: Final = {gap.gap_id for gap in gaps.values() if gap.to_us is None}
        self._ends: dict[str, int] = {}
        self._is_alone = False
        self._minutes: Final = minutes

    @property
    def growing(self) -> Gap | None:
        """The gap that has no end, as the symbol is away."""
        return next((gap for gap in self._gaps.values() if gap.to_us is None and gap.gap_id not in self._ends), None)

    def grow(self, open_us: int) -> list[Action]:
        """Have a growing gap of this ledger over the minute, as the symbol is away."""
        own = [gap for gap in self._gaps.values() if gap.to_us is None and gap.gap_id not in self._inherited]
        return [] if any(gap.from_us < open_us + MINUTE_US for gap in own) else self.open(open_us, None)

    def touches(self, open_us: int) -> bool:
        """Whether an open gap touches the minute."""
        return any(open_us in touched(gap) for gap in self._gaps.values())

    def open(self, from_us: int, to_us: int | None) -> list[Action]:
        """Open a gap; `to_us` None: it grows."""
        # The id of a closed gap is not used again: its readers take it for closed.
        self.opened += 1
        gap_id = f"{self._symbol}-{iso(from_us)}-{self._token}-{self.opened}"
        return self._record(Gap(gap_id, self._symbol, from_us, to_us, GapState.OPENED))

    def end(self, to_us: int) -> list[Action]:
        """Set the end of every growing gap: the symbol is received again."""
        actions: list[Action] = []
        while (gap := self.growing) is not None:
            ended_us = max(gap.from_us, to_us)
            if gap.gap_id in self._inherited:
                self._ends[gap.gap_id] = ended_us
            else:
                actions += self._record(replace(gap, to_us=ended_us))
        return actions + self.close()

    def take_over(self) -> list[Action]:
        """The earlier workers have ended: close their growing gaps that touch none but whole minutes."""
        if self._is_alone:
            return []
        self._is_alone = True
        return self.close()

    def close(self) -> list[Action]:
        """Close the gaps that touch none but whole minutes."""
        actions: list[Action] = []
        for gap in list(self._gaps.values()):
            if gap.gap_id in self._inherited and not self._is_alone:
                continue
            ended = replace(gap, to_us=self._ends.get(gap.gap_id, gap.to_us))
            if ended.to_us is not None and all(map(self._is_whole, touched(ended))):
                actions += self._record(replace(ended, state=GapState.CLOSED))
        return actions

    def forget(self, oldest_us: int) -> None:
        """Release the gaps that begin before `oldest_us`: they can no longer be filled."""
        for gap in [gap for gap in self._gaps.values() if gap.to_us is not None and gap.from_us < oldest_us]:
            del self._gaps[gap.gap_id]

    def _is_whole(self, open_us: int) -> bool:
        return open_us in self._minutes and self._minutes[open_us].is_whole

    def _record(self, gap: Gap) -> list[Action]:
        if gap.state is GapState.OPENED:
            self._gaps[gap.gap_id] = gap
        else:
            del self._gaps[gap.gap_id]
        return [Publish(self._symbol, [gap_record(gap)]), GapChanged(gap)]


def touched(gap: Gap) -> range:
    """The open times of the minutes that a gap makes partial: one without an end touches that of its start only."""
    return range(floor_us(gap.from_us), (gap.from_us if gap.to_us is None else gap.to_us) + 1, MINUTE_US)
