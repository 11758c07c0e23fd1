"""What may be missing of one symbol, and up to where it is accounted for; no I/O.

Part of the core; imported by `symbol_feed`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from bitcoin_pipeline.live.actions import Action, GapChanged, Publish
from bitcoin_pipeline.live.records import Gap, GapState, gap_record
from bitcoin_pipeline.times import DAY_US, MINUTE_US, MS_US, floor_us, iso

TOPIC_KEEPS_US: Final = 7 * DAY_US
"""Retention of the topic; of a longer gap, only this last part gets records."""


class GapLedger:
    """The open gaps of one symbol: one for each minute that may lack trades.

    `accounted_us`: every trade up to here was sent or lies in a recorded gap; None: the symbol was never received. Only
    this class writes it. `gaps`: open when the ledger begins, by id. `token`: differs between workers, so that a gap id
    is never used twice. `opened`: how many gaps this ledger has opened.
    """

    def __init__(self, symbol: str, token: str, accounted_us: int | None, gaps: Mapping[str, Gap]) -> None:
        self.accounted_us = accounted_us
        self.opened = 0
        self.kept_records: dict[str, bytes] = {}
        """Records that were sent and lie in an open gap, by trade id: a later catch-up must not send them again."""
        self._symbol: Final = symbol
        self._token: Final = token
        self._gaps = dict(gaps)
        # What is missing within each open gap, by gap id; one minute may lack several parts.
        self._holes: dict[str, list[tuple[int, int | None]]] = {
            gap_id: [(gap.from_us, gap.to_us)] for gap_id, gap in gaps.items()
        }
        self._rejected_minutes: set[int] = set()

    def covers(self, time_us: int) -> bool:
        """Whether trades of this time may be missing."""
        return any(
            from_us <= time_us and (to_us is None or time_us <= to_us)
            for holes in self._holes.values()
            for from_us, to_us in holes
        )

    def is_doubtful(self, time_us: int) -> bool:
        """Whether trades of this time may be missing, or its minute holds a rejected one."""
        return floor_us(time_us) in self._rejected_minutes or self.covers(time_us)

    def begin(self, from_us: int, accounted_us: int) -> list[Action]:
        """Account for a symbol that was never received: its first minute lacks what was before `accounted_us`."""
        self.accounted_us = accounted_us
        return self._open_minutes(floor_us(from_us), accounted_us)

    def lose_up_to(self, to_us: int) -> list[Action]:
        """Open gaps from the accounted time to `to_us`, if that is later; the caller accounts for what follows."""
        if self.accounted_us is None or to_us <= self.accounted_us:
            return []
        return self._open_minutes(self.accounted_us + MS_US, to_us)

    def prove(self, time_us: int) -> None:
        """Account for everything up to `time_us`: a heartbeat that names the symbol states it."""
        self.accounted_us = time_us

    def retract(self, whole_us: int) -> None:
        """Withdraw what was accounted for beyond `whole_us`: it was proven by other symbols' frames, and wrongly."""
        self.accounted_us = min(self.accounted_us or whole_us, whole_us)

    def pass_over(self, time_us: int) -> list[Action]:
        """Account for everything up to `time_us` by gaps without an end, as a heartbeat does not name the symbol."""
        from_us = floor_us(time_us) if self.accounted_us is None else self.accounted_us + MS_US
        actions = self._open_minutes(from_us, time_us, has_end=False)
        self.accounted_us = max(self.accounted_us or 0, time_us)
        return actions

    def reject(self, time_us: int) -> list[Action]:
        """Open the gap of a rejected trade, unless its minute has one for that reason."""
        if floor_us(time_us) in self._rejected_minutes:
            return []
        self._rejected_minutes.add(floor_us(time_us))
        return self._open(time_us, time_us)

    def settle(self, reach_us: int, oldest_us: int, returned_us: int | None) -> list[Action]:
        """After a catch-up that reaches back to `reach_us`: close the gaps it fills, and end at `reach_us` the others.

        No trade before `oldest_us` is sent, so no gap before it is filled. `returned_us`: an exchange time at which the
        symbol was received again; a gap without an end is closed no later than there.
        """
        actions: list[Action] = []
        for gap in list(self._gaps.values()):
            end_us = floor_us(gap.from_us) + MINUTE_US
            is_reached = gap.from_us > reach_us and gap.from_us >= oldest_us
            if is_reached and floor_us(gap.from_us) not in self._rejected_minutes:
                to_us = gap.to_us or max(gap.from_us, min(end_us, returned_us or end_us))
                actions += self._record(replace(gap, to_us=to_us, state=GapState.CLOSED))
            elif gap.to_us is None:
                actions += self._open(gap.from_us, max(gap.from_us, min(end_us, reach_us)))
        return actions

    def keep(self, records: Mapping[str, bytes]) -> None:
        """Remember which of these trade records lie in open gaps."""
        if self._gaps:
            self.kept_records |= {
                trade_id: record for trade_id, record in records.items() if self.covers(json.loads(record)["time"])
            }

    def forget(self, oldest_us: int) -> list[Action]:
        """Release the gaps before `oldest_us`, which can no longer be filled; one without an end gets its minute's."""
        actions: list[Action] = []
        for gap in [gap for gap in self._gaps.values() if gap.from_us < oldest_us]:
            if gap.to_us is None:
                actions += self._record(replace(gap, to_us=floor_us(gap.from_us) + MINUTE_US))
            del self._gaps[gap.gap_id], self._holes[gap.gap_id]
        if not self._gaps:
            self.kept_records = {}
        if self._rejected_minutes:
            self._rejected_minutes = {
                minute_us for minute_us in self._rejected_minutes if minute_us >= oldest_us - MINUTE_US
            }
        return actions

    def _open_minutes(self, from_us: int, last_us: int, *, has_end: bool = True) -> list[Action]:
        actions: list[Action] = []
        for minute_us in _minutes(max(from_us, last_us - TOPIC_KEEPS_US), last_us):
            actions += self._open(max(from_us, minute_us), min(last_us, minute_us + MINUTE_US) if has_end else None)
        return actions

    def _open(self, from_us: int, to_us: int | None) -> list[Action]:
        """Open a gap within one minute; a second one of that minute widens the first."""
        minute_us = floor_us(from_us)
        known = next((gap for gap in self._gaps.values() if floor_us(gap.from_us) == minute_us), None)
        if known is None:
            # The id of a closed gap is not used again: its readers take it for closed.
            self.opened += 1
            gap_id = f"{self._symbol}-{iso(minute_us)}-{self._token}-{self.opened}"
            self._holes[gap_id] = [(from_us, to_us)]
            return self._record(Gap(gap_id, self._symbol, from_us, to_us, GapState.OPENED))
        holes = self._holes[known.gap_id]
        if to_us is None and known.to_us is None:
            return []
        if known.to_us is None:
            self._holes[known.gap_id] = [(start_us, to_us if end_us is None else end_us) for start_us, end_us in holes]
        else:
            holes.append((from_us, to_us))
        to_us = None if to_us is None else max(known.to_us or 0, to_us)
        gap = replace(known, from_us=min(known.from_us, from_us), to_us=to_us)
        return self._record(gap) if gap != known else []

    def _record(self, gap: Gap) -> list[Action]:
        if gap.state is GapState.OPENED:
            self._gaps[gap.gap_id] = gap
        else:
            del self._gaps[gap.gap_id], self._holes[gap.gap_id]
        return [Publish(self._symbol, [gap_record(gap)]), GapChanged(gap)]


def _minutes(from_us: int, to_us: int) -> Iterator[int]:
    return iter(range(floor_us(from_us), to_us + 1, MINUTE_US))
