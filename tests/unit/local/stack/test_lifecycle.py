"""What `up` refuses before it starts anything, and what it reads from the environment for either source."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from bitcoin_pipeline.settings import SettingsError, read_settings
from local.exchange.synthetic.profiles import SYMBOLS
from local.stack.config import PORTS, StackConfig
from local.stack.lifecycle import LocalStack
from local.stack.options import Options, SyntheticMarket, bybit_chosen, synthetic_chosen
from local.stack.progress import Silent
from local.stack.startup import Preparation
from local.stack.state import StackError

Usage = namedtuple("Usage", ("total", "used", "free"))


def up(home: Path, options: Options) -> None:
    def prepare(stack: StackConfig) -> list[Preparation]:
        raise AssertionError(f"nothing of {stack} may be made")

    LocalStack(home).up(options, prepare, Silent())


def test_a_full_disk_is_told_and_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 << 30, 99 << 30, 60 << 20))
    with pytest.raises(StackError, match=f"the disk of {tmp_path} has 60 MiB left, and a stack needs 512 MiB"):
        up(tmp_path, Options())
    assert [path.name for path in tmp_path.iterdir()] in ([], ["lock"])


@pytest.mark.parametrize(("earlier", "options"), [("bybit", Options()), ("simulator", Options(bybit={}))])
def test_real_and_synthetic_trades_are_kept_apart(tmp_path: Path, earlier: str, options: Options) -> None:
    (tmp_path / "source").write_text(earlier)
    with pytest.raises(StackError, match=f"came from --source {earlier}, and .* would mix with it"):
        up(tmp_path, options)
    assert not (tmp_path / "stack.json").exists()


def test_without_docker_the_command_states_what_is_missing_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    with pytest.raises(
        StackError, match=r"--backing container needs a Docker engine, and none answers .* set DOCKER_H"
    ):
        up(tmp_path, Options(images={}))
    assert [path.name for path in tmp_path.iterdir()] in ([], ["lock"])


def test_data_of_containers_are_not_opened_by_processes(tmp_path: Path) -> None:
    (tmp_path / "backing").write_text("container")
    with pytest.raises(StackError, match="are kept by --backing container; run `pipeline down --remove-data` first"):
        up(tmp_path, Options())
    assert not (tmp_path / "stack.json").exists()


# The synthetic market.


def test_only_what_differs_from_the_default_is_a_choice() -> None:
    environ = {"PIPELINE_SYMBOLS": ",".join(SYMBOLS), "PIPELINE_SYNTHETIC_RATE": "1000", "PATH": "/bin"}
    assert synthetic_chosen(environ) == {"PIPELINE_SYNTHETIC_RATE": "1000"}
    assert read_settings(SyntheticMarket, synthetic_chosen(environ)) == SyntheticMarket(SYMBOLS, 1000.0, 0)


def test_wrong_choices_of_the_synthetic_market_are_reported_at_once() -> None:
    wrong = {"PIPELINE_SYMBOLS": "BTCUSDT,NOPE", "PIPELINE_SYNTHETIC_RATE": "fast", "PIPELINE_CLOCK_OFFSET_MS": "0.5"}
    with pytest.raises(SettingsError) as error:
        synthetic_chosen(wrong)
    assert [part.split(":")[0] for part in str(error.value).split("; ")] == list(wrong)


# The real exchange: what is not chosen is left to the deployables.

PORT_OF_EACH = dict.fromkeys(PORTS, 1234)


def exchange_variables(stack: StackConfig) -> dict[str, str]:
    names = ("BYBIT_", "PIPELINE_SYMBOLS", "PIPELINE_SIMULATOR_URL")
    return {name: value for name, value in stack.environ().items() if name.startswith(names)}


def test_without_a_choice_every_address_is_the_deployables_own_default() -> None:
    stack = StackConfig(Path("/home"), PORT_OF_EACH, bybit=bybit_chosen({"PATH": "/bin"}))
    assert exchange_variables(stack) == {"PIPELINE_SYMBOLS": "BTCUSDT"}
    assert "exchange" not in {service.name for service in stack.services()}


def test_every_address_and_the_symbols_may_be_chosen() -> None:
    chosen = {
        "PIPELINE_SYMBOLS": "BTCUSDT,PEPEUSDT",
        "BYBIT_WS_URL": "wss://ws.example/v5/public/linear",
        "BYBIT_REST_URL": "https://rest.example",
        "BYBIT_ARCHIVE_URL": "https://archive.example",
        "BYBIT_LISTING_URL": "https://listing.example/bucket/",
        "BYBIT_BAN_SECONDS": "900",
    }
    stack = StackConfig(Path("/home"), PORT_OF_EACH, bybit=bybit_chosen({**chosen, "PATH": "/bin"}))
    assert exchange_variables(stack) == chosen


def test_wrong_choices_of_the_real_exchange_are_told_at_once() -> None:
    wrong = {"PIPELINE_SYMBOLS": "btc-usdt", "BYBIT_WS_URL": "https://ws.example", "BYBIT_REST_URL": "rest.example"}
    with pytest.raises(SettingsError) as error:
        bybit_chosen(wrong)
    assert [part.split(":")[0] for part in str(error.value).split("; ")] == list(wrong)
