"""What the last records of the topic state to a producer that starts.

Part of the core; every module but the base modules and `bybit` may import it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from bitcoin_pipeline.live.records import GAP, HEARTBEAT, TRADE, Gap, GapState


class Tail:
    """The state at the end of the topic, from each partition's last records, added in their order.

    `gaps`: the open ones of each symbol, by id. `records`: each symbol's trade records, by trade id.
    """

    def __init__(self) -> None:
        self.last_heartbeat_us: int | None = None
        self.gaps: dict[str, dict[str, Gap]] = {}
        self.records: dict[str, dict[str, bytes]] = {}
        self._named: dict[int, dict[str, int]] = {}

    def begin(self, partition: int) -> None:
        """State that the partition holds records, so that a heartbeat missing from it is noticed."""
        self._named.setdefault(partition, {})

    def add(self, partition: int, record: bytes) -> None:
        """Take one record; what is no record of the topic is passed over."""
        self.begin(partition)
        try:
            content = json.loads(record)
            kind = content["type"]
            if kind == TRADE:
                self.records.setdefault(content["symbol"], {})[content["id"]] = record
            elif kind == HEARTBEAT:
                time_us = content["time"]
                self.last_heartbeat_us = max(self.last_heartbeat_us or 0, time_us)
                named = self._named[partition]
                named.update({symbol: max(named.get(symbol, 0), time_us) for symbol in content["symbols"]})
            elif kind == GAP:
                state = GapState(content["state"])
                gap = Gap(content["gap_id"], content["symbol"], content["from"], content["to"], state)
                gaps = self.gaps.setdefault(gap.symbol, {})
                if state is GapState.OPENED:
                    gaps[gap.gap_id] = gap
                else:
                    gaps.pop(gap.gap_id, None)
        except (ValueError, KeyError, TypeError):
            return  # Flink sends such records to the dead-letter topic

    def proven_us(self, symbol: str) -> int | None:
        """The last heartbeat that names the symbol and stands in every partition; None if there is none.

        A producer that is killed may have written its last heartbeat to some partitions only, while trades that are
        bound for another one are lost.
        """
        proven = [named.get(symbol) for named in self._named.values()]
        known = [time_us for time_us in proven if time_us is not None]
        return min(known) if known and len(known) == len(proven) else None

    def accounted_us(self, symbol: str) -> int | None:
        """Up to here every trade of the symbol is in the topic or in a gap; None where no record states it."""
        proven_us = self.proven_us(symbol)
        if proven_us is not None:
            return proven_us
        ends = [
            self.last_heartbeat_us if gap.to_us is None else gap.to_us for gap in self.gaps.get(symbol, {}).values()
        ]
        return max((end_us for end_us in ends if end_us is not None), default=None)

    def names_all(self, symbols: Iterable[str]) -> bool:
        """Whether a proof of every symbol was found, so that no earlier records need be read."""
        return all(self.proven_us(symbol) is not None for symbol in symbols)
