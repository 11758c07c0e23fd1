"""What `up` refuses before it starts anything."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from local.progress import Silent
from local.services import Stack
from local.stack import LocalStack, Options, StackError
from local.startup import Preparation

Usage = namedtuple("Usage", ("total", "used", "free"))


def up(home: Path, options: Options) -> None:
    def prepare(stack: Stack) -> list[Preparation]:
        raise AssertionError(f"nothing of {stack} may be made")

    LocalStack(home).up(options, prepare, Silent())


def test_a_full_disk_is_told_and_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 << 30, 99 << 30, 60 << 20))
    with pytest.raises(StackError, match=f"the disk of {tmp_path} has 60 MiB left, and a stack needs 512 MiB"):
        up(tmp_path, Options())
    assert [path.name for path in tmp_path.iterdir()] in ([], ["lock"])


@pytest.mark.parametrize(("earlier", "options"), [("bybit", Options()), ("simulator", Options(bybit={}))])
def test_real_and_invented_trades_are_kept_apart(tmp_path: Path, earlier: str, options: Options) -> None:
    (tmp_path / "source").write_text(earlier)
    with pytest.raises(StackError, match=f"came from --source {earlier}, and .* would mix with it"):
        up(tmp_path, options)
    assert not (tmp_path / "stack.json").exists()
