"""The producer between the exchange simulator and Kafka: what is in the topic is exact, whatever breaks on the way."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from bitcoin_pipeline import names
from bitcoin_pipeline.bybit.frames import PlainTrade, parse_trade
from bitcoin_pipeline.live.records import encoded_trade
from local.checkout import ROOT
from local.stack.options import SyntheticMarket
from local.stack.ports import free_ports
from local.waiting import wait_for
from producer.topic_tail import StoppedError, read_tail
from tests.support.processes import RunningStack
from tests.support.simulated.judge import Appended, Made, judge

CAPTURE = ROOT / "tests" / "fixtures" / "bybit" / "bybit_ws_v5_publicTrade_BTCUSDT_linear_2026-08-09_44s.jsonl"
SECONDS = 60.0
"""Time limit of a step, in seconds; an idle machine needs a few."""


class Live:
    """The exchange, the broker and the producer of one stack, and the content of the topic."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack

    def fault(self, name: str, **parameters: object) -> None:
        self._call("POST", "/control/faults", json.dumps({"fault": name, **parameters}).encode())

    def clear_faults(self) -> None:
        self._call("DELETE", "/control/faults")

    def traded(self, symbol: str) -> list[dict[str, Any]]:
        """All that the exchange has traded so far, as it stands in frames."""
        text = self._call("GET", f"/control/trades?symbol={symbol}")
        words = {"i": "id", "s": "symbol", "T": "T", "seq": "seq", "p": "price", "v": "size", "S": "side"}
        lines = map(json.loads, text.splitlines())
        words |= {flag: flag for flag in ("BT", "RPI")}
        return [{short: line[long] for short, long in words.items() if long in line} for line in lines]

    def partitions(self, topic: str = names.TRADES_TOPIC) -> dict[int, list[dict[str, Any]]]:
        """Every record of the topic now."""
        settings = {"bootstrap.servers": self.stack.environ["KAFKA_BOOTSTRAP_SERVERS"], "group.id": "test"}
        consumer = Consumer({**settings, "enable.auto.commit": False})
        found: dict[int, list[dict[str, Any]]] = {}
        try:
            for partition in consumer.list_topics(topic, timeout=30).topics[topic].partitions:
                place = TopicPartition(topic, partition, 0)
                _, high = wait_for(f"a leader of {place}", partial(watermark_offsets, consumer, place))
                records = found.setdefault(partition, [])
                consumer.assign([place])
                while len(records) < high:
                    messages = consumer.consume(high - len(records), timeout=30)
                    assert messages, f"partition {partition} ends at {len(records)} of {high}"
                    records += [json.loads(message.value() or b"") for message in messages]
        finally:
            consumer.close()
        return found

    def proven_us(self) -> dict[str, int]:
        """The last heartbeat of each symbol that stands in every partition."""
        proven: dict[str, list[int]] = {}
        for records in self.partitions().values():
            last: dict[str, int] = {}
            for record in records:
                if record["type"] == "heartbeat":
                    last.update(dict.fromkeys(record["symbols"], record["time"]))
            for symbol, time_us in last.items():
                proven.setdefault(symbol, []).append(time_us)
        return {symbol: min(times) for symbol, times in proven.items() if len(times) == 4}

    def exchange_us(self) -> int:
        return int(json.loads(self._call("GET", "/v5/market/time"))["result"]["timeNano"]) // 1000

    def wait_until_proven(self, *symbols: str) -> None:
        """Wait until what is traded now is proven."""
        goal_us = self.exchange_us()
        wait_for(
            f"a proof of {symbols} past {goal_us}",
            lambda: all(self.proven_us().get(symbol, 0) > goal_us for symbol in symbols),
            SECONDS,
            0.5,
        )

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.stack.stack.url('producer')}/ready", timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def _call(self, method: str, path: str, body: bytes | None = None) -> str:
        request = urllib.request.Request(self.stack.stack.url("exchange") + path, body, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return str(answer.read().decode())


def watermark_offsets(consumer: Consumer, place: TopicPartition) -> tuple[int, int] | None:
    """The first and the next offset of a partition; None while a broker that was just started does not lead it."""
    try:
        offsets: tuple[int, int] = consumer.get_watermark_offsets(place, timeout=30)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
            raise
        return None
    return offsets


def record_of(symbol: str, item: dict[str, Any]) -> dict[str, Any]:
    """The record of an item of a frame."""
    trade = parse_trade(symbol, item)
    assert isinstance(trade, PlainTrade)
    record: dict[str, Any] = json.loads(encoded_trade(trade))
    return record


def hold_topic(live: Live, *symbols: str) -> Counter[str]:
    """Compare the topic with what the exchange traded; returns the number of records of each kind.

    Every trade record is, byte by byte, a trade of the exchange, and none stands there twice. No minute is stated to be
    complete that lacks a trade, and no gap is closed that lacks one.
    """
    partitions = live.partitions()
    end_ms = live.exchange_us() // 1000
    truth = {symbol: {item["i"]: item for item in live.traded(symbol)} for symbol in symbols}
    counts: Counter[str] = Counter()
    for records in partitions.values():
        sent: set[str] = set()
        for record in records:
            counts[record["type"]] += 1
            if record["type"] == "trade" and record["symbol"] in symbols:
                assert record["id"] not in sent, "doubled"
                sent.add(record["id"])
                # REST has flags that the frames of an older capture lack.
                flags = {name: False for name in ("block_trade", "rpi") if name in record}
                assert record == flags | record_of(record["symbol"], truth[record["symbol"]][record["id"]])
    made = [
        Made(item["i"], symbol, item["T"] * 1000, Decimal(item["v"]), Decimal(item["v"]) * Decimal(item["p"]))
        for symbol, items in truth.items()
        for item in items.values()
    ]
    appended = [
        [Appended(end_ms, json.dumps(record).encode()) for record in records] for records in partitions.values()
    ]
    verdict = judge(appended, made, end_ms)
    assert verdict.violations == []
    return counts


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    # The exchange's clock differs from this machine's, which changes nothing; a minute ends soon.
    now_ms = time.time_ns() // 1_000_000
    behind = SyntheticMarket(clock_offset_ms=-((now_ms - 30_000) % 60_000))
    with RunningStack(tmp_path_factory.mktemp("producer"), ("exchange", "kafka"), market=behind) as stack:
        stack.set_up("topics")
        stack.start("producer")
        yield Live(stack)


@pytest.fixture(autouse=True)
def no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "live" in request.fixturenames:
        request.getfixturevalue("live").clear_faults()


def test_every_trade_is_in_the_topic_once_and_proven(live: Live) -> None:
    symbols = live.stack.stack.symbols()
    live.wait_until_proven(*symbols)
    counts = hold_topic(live, *symbols)
    assert counts["trade"] > 20
    assert live.is_ready()
    assert counts["gap"] == 0


def test_a_minute_is_confirmed_by_the_exchange_s_kline(live: Live) -> None:
    symbols = live.stack.stack.symbols()

    def confirmed() -> set[str]:
        records = [record for records in live.partitions().values() for record in records]
        return {record["symbol"] for record in records if record["type"] == "minute" and record["confirmed"]}

    wait_for("a confirmed minute of each symbol", lambda: confirmed() == set(symbols), 100, 1)
    hold_topic(live, *symbols)


def test_a_dropped_connection_loses_nothing(live: Live) -> None:
    symbols = live.stack.stack.symbols()
    for _ in range(2):
        live.fault("drop")
        wait_for("the end of the connection", lambda: "disconnected" in live.stack.log("producer"), SECONDS)
        live.wait_until_proven(*symbols)
    hold_topic(live, *symbols)


def test_repeated_and_split_frames_come_once(live: Live) -> None:
    symbols = live.stack.stack.symbols()
    live.fault("duplicate")
    live.fault("split")
    live.wait_until_proven(*symbols)
    hold_topic(live, *symbols)


def test_garbage_goes_to_the_dead_letters_and_loses_nothing(live: Live) -> None:
    symbols = live.stack.stack.symbols()
    live.fault("garbage", count=1)
    wait_for("five kinds of garbage", lambda: len(live.partitions(names.DEAD_LETTER_TOPIC)[0]) >= 5, SECONDS, 0.5)
    live.wait_until_proven(*symbols)
    hold_topic(live, *symbols)
    assert all(set(letter) == {"reason", "record"} for letter in live.partitions(names.DEAD_LETTER_TOPIC)[0])


def test_a_refused_symbol_has_a_gap_and_comes_back(live: Live) -> None:
    symbols = live.stack.stack.symbols()
    lost, others = symbols[0], symbols[1:]
    live.fault("refuse", symbol=lost)
    live.fault("drop")
    wait_for("the refusal", lambda: f'"refused", "symbol": "{lost}"' in live.stack.log("producer"), SECONDS)
    live.wait_until_proven(*others)

    def is_away() -> bool:
        found = [record for records in live.partitions().values() for record in records]
        return any(record["type"] == "gap" and record["symbol"] == lost and record["to"] is None for record in found)

    wait_for("a gap that grows", is_away, SECONDS, 0.5)
    live.clear_faults()
    live.wait_until_proven(*symbols)
    hold_topic(live, *symbols)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_restart_loses_nothing_and_doubles_nothing(live: Live, number: signal.Signals) -> None:
    symbols = live.stack.stack.symbols()
    live.wait_until_proven(*symbols)
    process = live.stack.processes.pop("producer")
    os.kill(process.pid, number)
    code = process.wait(SECONDS)
    if number is signal.SIGTERM:
        assert code == 0
        assert '"producer stopped", "unsent": 0' in live.stack.log("producer")
    live.stack.start("producer")
    live.wait_until_proven(*symbols)
    hold_topic(live, *symbols)


def test_a_broker_that_is_killed_holds_the_feed_up_and_loses_nothing(live: Live) -> None:
    symbols = live.stack.stack.symbols()
    live.stack.kill("kafka")
    live.stack.start("kafka")
    live.wait_until_proven(*symbols)
    hold_topic(live, *symbols)
    assert "producer" in live.stack.processes
    assert live.stack.processes["producer"].poll() is None


def test_a_half_open_connection_is_left(live: Live) -> None:
    symbols = live.stack.stack.symbols()
    live.fault("half_open", seconds=5)
    wait_for("the end of the connection", lambda: "a ping was not answered" in live.stack.log("producer"), SECONDS)
    live.wait_until_proven(*symbols)
    hold_topic(live, *symbols)


def test_sigterm_ends_a_half_open_connection_within_two_seconds(live: Live) -> None:
    live.fault("half_open", seconds=20)
    process = live.stack.processes.pop("producer")
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(2.0) == 0
    live.clear_faults()
    live.stack.start("producer")
    live.wait_until_proven(*live.stack.stack.symbols())
    hold_topic(live, *live.stack.stack.symbols())


def test_a_capture_without_klines_is_exact_and_not_confirmed(tmp_path: Path) -> None:
    with RunningStack(tmp_path, ("exchange", "kafka"), capture=CAPTURE, speed=0) as stack:
        stack.set_up("topics")
        stack.start("producer")
        live = Live(stack)
        live.wait_until_proven("BTCUSDT")
        hold_topic(live, "BTCUSDT")
        found = [record for records in live.partitions().values() for record in records]
        trades = [record for record in found if record["type"] == "trade"]
        expected = [
            record_of("BTCUSDT", item) for line in CAPTURE.read_text().splitlines() for item in json.loads(line)["data"]
        ]
        assert sorted(trades, key=str) == sorted(expected, key=str)
        assert [record for record in found if record["type"] == "minute" and record["confirmed"]] == []


def test_wrong_settings_are_told_at_once() -> None:
    environ = {"PATH": os.environ["PATH"], "PIPELINE_SYMBOLS": "btc", "PORT": "0", "BYBIT_WS_URL": "http://x"}
    command = [sys.executable, str(ROOT / "cloudrun" / "producer" / "main.py")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 2
    for name in ("PIPELINE_SYMBOLS", "PORT", "BYBIT_WS_URL", "KAFKA_BOOTSTRAP_SERVERS"):
        assert name in done.stdout


def test_without_a_broker_it_lives_is_not_ready_and_ends_at_once() -> None:
    ports = free_ports(("health", "kafka"))
    address = f"http://127.0.0.1:{ports['health']}"
    environ = {
        "PATH": os.environ["PATH"],
        "PIPELINE_SYMBOLS": "BTCUSDT",
        "PORT": str(ports["health"]),
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{ports['kafka']}",
    }
    command = [sys.executable, str(ROOT / "cloudrun" / "producer" / "main.py")]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            wait_for("/live", lambda: _status(f"{address}/live") == 200, SECONDS)
            assert _status(f"{address}/ready") == 503
            process.terminate()
            assert process.wait(8) == 0
        finally:
            process.kill()
        assert process.stdout is not None
        assert process.stdout.read().count('"the broker does not answer"') <= 1


def _status(url: str) -> int:
    try:
        return requests.get(url, timeout=5).status_code
    except requests.ConnectionError:
        return 0


def test_a_stop_ends_the_reading_of_the_topic(live: Live) -> None:
    servers = {"bootstrap.servers": live.stack.environ["KAFKA_BOOTSTRAP_SERVERS"]}
    with pytest.raises(StoppedError):
        read_tail(servers, live.stack.stack.symbols(), lambda: True)


def test_a_taken_port_is_an_error(live: Live) -> None:
    """A second producer must not seem healthy because the health port of the first one answers."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environ = {**live.stack.environ, "PORT": str(taken.getsockname()[1])}
        command = [sys.executable, str(ROOT / "cloudrun" / "producer" / "main.py")]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode != 0
