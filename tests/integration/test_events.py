"""The producer's gaps as events, through Google's Pub/Sub emulator.

Skipped where the Cloud SDK's emulator is not installed: `gcloud components install pubsub-emulator`.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from local.backing.pubsub import INSTALL, installed_emulator
from local.waiting import wait_for
from tests.integration.test_producer import SECONDS, Live
from tests.support.processes import RunningStack
from tests.support.subscription import Event, Subscription

EMULATOR = installed_emulator()

pytestmark = pytest.mark.skipif(
    EMULATOR is None, reason=f"NOT TESTED: events, for there is no Pub/Sub emulator here ({INSTALL})"
)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    stack = RunningStack(tmp_path_factory.mktemp("events"), ("exchange", "kafka", "pubsub"))
    stack.stack = replace(stack.stack, pubsub=EMULATOR)
    with stack:
        stack.set_up("topics")
        yield Live(stack)


def gaps_in_topic(live: Live) -> list[Event]:
    """The gap records of the topic `trades`, in the form of events."""
    records = (record for records in live.partitions().values() for record in records if record["type"] == "gap")
    return [
        (f"gap.{record['state']}", {name: record[name] for name in ("gap_id", "symbol", "from", "to")})
        for record in records
    ]


def lose_a_symbol(live: Live, lost: str) -> None:
    """Make the exchange refuse `lost` on a new connection, and wait until the topic holds its gap."""
    live.fault("refuse", symbol=lost)
    live.fault("drop")
    wait_for(
        f"the gap of {lost}",
        lambda: any(gap["symbol"] == lost and gap["to"] is None for _, gap in gaps_in_topic(live)),
        SECONDS,
        0.5,
    )


def test_the_gap_of_a_refused_symbol_arrives(live: Live) -> None:
    subscription = Subscription(live.stack.stack, "start", "gap.")
    live.stack.start("producer")
    symbols = live.stack.stack.symbols()
    live.wait_until_proven(*symbols)
    lose_a_symbol(live, symbols[3])
    wait_for("its event", subscription.receive, SECONDS)
    assert subscription.events == gaps_in_topic(live)
    [(kind, gap)] = subscription.events
    assert (kind, gap["symbol"], gap["to"]) == ("gap.opened", symbols[3], None)
    live.clear_faults()
    live.wait_until_proven(*symbols)


def test_events_that_cannot_be_sent_hold_no_trade_back(live: Live) -> None:
    symbols = live.stack.stack.symbols()
    live.stack.kill("pubsub")
    lose_a_symbol(live, symbols[1])
    live.wait_until_proven(*(symbol for symbol in symbols if symbol != symbols[1]))
    live.clear_faults()
    live.wait_until_proven(*symbols)
    assert live.is_ready()

    # The emulator keeps nothing, so its start makes the topic again.
    live.stack.start("pubsub")
    subscription = Subscription(live.stack.stack, "gaps-after-a-kill", "gap.")
    lose_a_symbol(live, symbols[2])
    wait_for(
        "the next gap's event",
        lambda: any(gap["symbol"] == symbols[2] and gap["to"] is None for _, gap in subscription.receive()),
        SECONDS,
        0.5,
    )


def test_a_gap_is_opened_and_closed(live: Live) -> None:
    symbols = live.stack.stack.symbols()
    lost = symbols[0]
    subscription, earlier = Subscription(live.stack.stack, "refusal", "gap."), gaps_in_topic(live)
    lose_a_symbol(live, lost)
    live.clear_faults()
    live.wait_until_proven(*symbols)

    def of_the_gap() -> list[Event]:
        return [event for event in gaps_in_topic(live) if event not in earlier and event[1]["symbol"] == lost]

    # Opened while the feed is away, so without an end; then with its end; closed when its minutes are confirmed.
    wait_for("the end of the gap", lambda: [kind for kind, _ in of_the_gap()][-1:] == ["gap.closed"], 3 * SECONDS, 1)
    opened, ended, closed = of_the_gap()
    assert (opened[0], opened[1]["to"], ended[0]) == ("gap.opened", None, "gap.opened")
    assert ended[1] == {**opened[1], "to": ended[1]["to"]}
    assert opened[1]["from"] <= ended[1]["to"]
    assert closed == ("gap.closed", ended[1])
    # Events that were under way when the emulator was killed may come among them.
    whole = [opened, ended, closed]
    wait_for(
        f"{whole} among {subscription.events}",
        lambda: [event for event in subscription.receive() if event in whole] == whole,
        SECONDS,
    )


def test_a_producer_whose_events_cannot_be_sent_ends_in_time(live: Live) -> None:
    live.stack.kill("pubsub")
    lose_a_symbol(live, live.stack.stack.symbols()[3])
    process = live.stack.processes.pop("producer")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert '"producer stopped", "unsent": 0' in live.stack.log("producer")
