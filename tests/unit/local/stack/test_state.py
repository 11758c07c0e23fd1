"""What is written down about a stack that is up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.stack.config import PORTS
from local.stack.options import Options, SyntheticMarket
from local.stack.state import STATE_FILE, StackError, StackState, claim_source, read_state, write_state

STATE = StackState(
    Options(archive_dir="/files", synthetic={"PIPELINE_SYNTHETIC_RATE": "50"}),
    {"supervisor": 1, **dict.fromkeys(PORTS, 2)},
    "secret",
    None,
)


def test_a_state_is_read_as_it_was_written_and_for_its_owner_only(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    write_state(tmp_path, STATE)
    assert read_state(tmp_path) == STATE
    assert (tmp_path / STATE_FILE).stat().st_mode & 0o077 == 0


def test_the_configuration_follows_from_the_state(tmp_path: Path) -> None:
    config = STATE.config(tmp_path)
    assert (config.archive_dir, config.capture, config.speed) == (Path("/files"), None, 1.0)
    assert config.market == SyntheticMarket(rate=50.0)
    assert STATE.supervisor(tmp_path).port == 1


def test_a_stack_of_a_version_with_other_options_can_still_be_taken_down(tmp_path: Path) -> None:
    write_state(tmp_path, STATE)
    written = json.loads((tmp_path / STATE_FILE).read_text())
    written["options"] = {"archive_dir": "/files", "invented": {"PIPELINE_INVENTED_RATE": "50"}}
    (tmp_path / STATE_FILE).write_text(json.dumps(written))
    found = read_state(tmp_path)
    assert found is not None
    assert (found.options, found.ports) == (Options(archive_dir="/files"), STATE.ports)


def test_an_unreadable_state_is_none(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).write_text('{"options": ')
    assert read_state(tmp_path) is None


def test_options_are_spelled_as_the_user_writes_them() -> None:
    assert Options().spelled() == "no options"
    assert STATE.options.spelled() == "--archive-dir /files PIPELINE_SYNTHETIC_RATE=50"
    assert Options(bybit={"PIPELINE_SYMBOLS": "ETHUSDT"}).spelled() == "--source bybit PIPELINE_SYMBOLS=ETHUSDT"


def test_the_source_of_the_data_is_claimed_once(tmp_path: Path) -> None:
    claim_source(tmp_path, "simulator")
    claim_source(tmp_path, "simulator")
    with pytest.raises(StackError, match="came from --source simulator"):
        claim_source(tmp_path, "bybit")
