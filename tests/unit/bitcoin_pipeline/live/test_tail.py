"""The end of the topic: what its last records prove."""

from __future__ import annotations

from bitcoin_pipeline.live.tail import Tail


def test_a_heartbeat_in_some_partitions_only_proves_nothing_more() -> None:
    tail = Tail()
    beat = '{"type":"heartbeat","time":%d,"symbols":["BTCUSDT"],"lag_ms":0,"reconnects":0}'
    tail.add(0, (beat % 2_000_000).encode())
    tail.add(1, (beat % 1_000_000).encode())
    assert (tail.proven_us("BTCUSDT"), tail.last_heartbeat_us) == (1_000_000, 2_000_000)
    tail.begin(2)
    assert tail.proven_us("BTCUSDT") is None
    tail.add(2, b"not a record")
    tail.add(2, b'{"type":"trade"}')
    assert tail.proven_us("ETHUSDT") is None
