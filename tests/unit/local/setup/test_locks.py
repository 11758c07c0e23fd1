"""Locks: their pins, the pins that are behind, and the hashes of every lock of the project."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from local.build import IMAGES, deployables
from local.setup import locks
from local.setup.environments import LOCKS, ROOT, Lock, SetupError
from local.setup.locks import behind, pins, write_bills

LOCK = """\
duckdb==1.5.5 ; python_full_version >= '3.13' \\
    --hash=sha256:aa
duckdb==2.0.0 ; python_full_version < '3.13' \\
    --hash=sha256:bb
    # via bitcoin-pipeline (pyproject.toml:dashboard)
Requests==2.34.2 \\
    --hash=sha256:cc
"""


def test_pins_are_versions_by_package() -> None:
    assert pins(LOCK) == {"duckdb": {"1.5.5", "2.0.0"}, "requests": {"2.34.2"}}


def test_what_a_new_lock_would_change_is_behind() -> None:
    newest = LOCK.replace("2.0.0", "2.0.1").replace("Requests==2.34.2", "httpx==1.0")
    assert behind(LOCK, newest) == [
        ("duckdb", "1.5.5 2.0.0", "1.5.5 2.0.1"),
        ("httpx", "-", "1.0"),
        ("requests", "2.34.2", "-"),
    ]
    assert behind(LOCK, LOCK) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.file)
def test_every_pin_of_a_lock_has_a_hash(lock: Lock) -> None:
    text = lock.path.read_text()
    assert pins(text)
    for pin in re.split(r"^(?=\S+==)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in pin, pin


def test_every_lock_of_the_project_is_in_the_list() -> None:
    found = {
        str(path.relative_to(ROOT))
        for folder in ("functions", "cloudrun", "dataproc_jobs", "flink", "local", "composer_dags")
        for path in (ROOT / folder).glob("**/requirements.txt")
    }
    assert found <= {lock.file for lock in LOCKS}


def test_a_deployable_has_the_pins_that_were_tested() -> None:
    main = pins((ROOT / "local" / "requirements.txt").read_text())
    for lock in LOCKS:
        if lock.constraint:
            assert all(versions <= main[name] for name, versions in pins(lock.path.read_text()).items()), lock.file


def test_nothing_but_a_lock_decides_versions() -> None:
    """A section [tool.uv] with overrides or constraints would apply at install too, and replace pins."""
    assert "[tool.uv" not in (ROOT / "pyproject.toml").read_text()


def replace_cyclonedx(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "bin" / "cyclonedx-py"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(locks, "AUDIT", SimpleNamespace(path=folder))


def test_every_image_has_a_bill_of_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_cyclonedx(tmp_path, monkeypatch, 'echo "$1 $5" > "$4"')
    write_bills(tmp_path / "dist")
    bills = {str(path.relative_to(tmp_path / "dist")): path.read_text() for path in tmp_path.rglob("*.cdx.json")}
    assert bills == {
        f"{name}.cdx.json": f"requirements {ROOT / name / 'requirements.txt'}\n"
        for name in deployables()
        if name.partition("/")[0] in IMAGES
    }


def test_a_bill_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_cyclonedx(tmp_path, monkeypatch, "echo no such option >&2; exit 2")
    with pytest.raises(SetupError, match=r"the bill of materials of functions/fetch_archive/.* failed: no such option"):
        write_bills(tmp_path)
