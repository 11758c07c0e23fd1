"""The services, the ports and the environment of a stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitcoin_pipeline.settings import SettingsError
from local.environment import beside_a_stack
from local.stack.config import PORTS, StackConfig, backing_services
from local.stack.deployables import artifact_of
from local.stack.options import SyntheticMarket
from local.stack.ports import BLOCK
from local.stack.stores import preparations

NUMBERS = {name: 20_000 + place for place, name in enumerate(PORTS)}
JAR = Path("/emulator.jar")


def config(home: Path = Path("/h"), **options: object) -> StackConfig:
    return StackConfig(home, NUMBERS, **options)  # type: ignore[arg-type]  # what a test changes


def test_every_port_has_one_name_and_a_block_has_room_for_all() -> None:
    assert len(set(PORTS)) == len(PORTS)
    assert len(PORTS) + 2 <= BLOCK  # the claim's own and the supervisor's


def test_every_service_has_a_name_of_its_own_and_is_ready_at_a_port_of_its_own() -> None:
    services = config(pubsub=JAR).services()
    names = [service.name for service in services]
    assert len(set(names)) == len(names)
    ready = [service.ready.partition("127.0.0.1:")[2].partition("/")[0] for service in services if service.ready]
    assert len(set(ready)) == len(ready) == len(services) - 1  # the schedule listens nowhere
    assert {int(port) for port in ready} <= set(NUMBERS.values())


def test_containers_run_in_the_place_of_processes_and_are_ready_at_the_same_addresses() -> None:
    processes = {item.name: item for item in config(pubsub=JAR).services()}
    stack = config(pubsub=JAR, images={})
    services = {item.name: item for item in stack.services()}
    assert stack.environ() == config(pubsub=JAR).environ()
    assert [item.ready for item in services.values()] == [item.ready for item in processes.values()]
    changed = {name for name, item in services.items() if item != processes[name]}
    assert changed == stack.containers().keys()
    assert changed == {
        *("postgres", "kafka", "gcs", "bigquery", "pubsub"),
        *("fetch_archive", "publish_live", "archive_live", "producer", "dashboard"),
    }
    assert config(pubsub=JAR).containers() == config(pubsub=JAR).jobs() == {}


def test_a_deployable_finds_its_own_packages_in_its_image() -> None:
    stack = config(images={})
    for container in (*stack.containers().values(), *stack.jobs().values()):
        assert "PYTHONPATH" not in container.environ
    assert stack.containers()["fetch_archive"].environ["PORT"] == str(NUMBERS["fetch_archive"])


@pytest.mark.parametrize("jar", [None, JAR])
def test_every_need_is_a_service_or_a_preparation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jar: Path | None
) -> None:
    monkeypatch.setattr("local.stack.stores.replace_process_environ", lambda environ: None)
    stack = config(tmp_path, pubsub=jar)
    prepared = preparations(stack)
    names = {service.name for service in stack.services()} | {item.name for item in prepared}
    needs = {need for service in stack.services() for need in service.needs}
    needs |= {need for item in prepared for need in item.needs}
    assert needs <= names


def test_stores_are_the_backing_services_but_flink() -> None:
    backing = {spec.name for service in backing_services(JAR) for spec in service.processes(config().place)}
    stores = {service.name for service in config(pubsub=JAR).services() if service.is_store}
    assert stores == backing - {"jobmanager", "taskmanager"}


def test_a_backing_service_says_where_it_is_by_variables_of_its_own() -> None:
    """No variable of a client comes from two services, and each leads to the stack."""
    variables = [name for service in backing_services(JAR) for name in service.client_environ(config().place)]
    assert len(set(variables)) == len(variables)
    environ = config(pubsub=JAR).environ()
    assert set(variables) <= environ.keys()
    own = {"PGHOST": "db.example", "KAFKA_BOOTSTRAP_SERVERS": "broker.example:9092", "CLOUDSDK_CONFIG": "mine"}
    assert {**beside_a_stack(own), **environ} == environ


def test_every_deployable_runs_from_its_artifact() -> None:
    home = Path("/h")
    services = {service.name: service for service in config(home).services()}
    for name in ("fetch_archive", "publish_live", "archive_live", "producer", "dashboard"):
        assert str(artifact_of(home, name) / "main.py") in " ".join(services[name].command)
    assert services["candles_job"].environ["PYTHONPATH"] == str(artifact_of(home, "candles_job"))


def test_the_synthetic_market_or_a_capture_is_what_the_simulator_plays(tmp_path: Path) -> None:
    def exchange(stack: StackConfig) -> tuple[str, ...]:
        return next(service.command for service in stack.services() if service.name == "exchange")

    market = SyntheticMarket(("ETHUSDT", "SOLUSDT"), 50.0, -3000)
    assert exchange(config(market=market))[-3:] == (
        "--symbols=ETHUSDT,SOLUSDT",
        "--trades-per-second=50",
        "--clock-offset-ms=-3000",
    )
    assert exchange(config(market=market, add_files=tmp_path))[-4] == f"--add-files={tmp_path}"
    capture = tmp_path / "frames.jsonl"
    capture.write_text('{"topic": "publicTrade.XRPUSDT"}\n{"topic":"publicTrade.ADAUSDT"}\n')
    played = config(capture=capture, speed=4.0, archive_dir=tmp_path)
    assert exchange(played)[-3:] == (f"--archive-dir={tmp_path}", f"--capture={capture}", "--speed=4")
    assert played.symbols() == ("ADAUSDT", "XRPUSDT")


def test_an_unreadable_choice_of_the_real_exchange_is_an_error() -> None:
    with pytest.raises(SettingsError, match="PIPELINE_SYMBOLS"):
        config(bybit={"PIPELINE_SYMBOLS": "btc-usdt"}).symbols()
