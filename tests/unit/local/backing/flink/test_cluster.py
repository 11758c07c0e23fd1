"""The cluster's configuration, which is never read in part, and its memory sizes, which are those of Java's options."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from local.backing.flink.cluster import FLINK_HOME, PROCESSES, classes, configuration, environ, write_configuration
from local.java import jvm

PORTS = {"rest": 1, "rpc": 2, "blob": 3, "taskmanager": 4}


def test_a_file_that_is_being_read_is_replaced_not_rewritten(tmp_path: Path) -> None:
    """The job manager and the task manager write the same files at the same time."""
    write_configuration(tmp_path, {"a": "1"})
    for path in (tmp_path / "conf").iterdir():
        path.write_text("earlier")
        with path.open() as reader:
            write_configuration(tmp_path, {"a": "1"})
            assert reader.read() == "earlier"
    assert (tmp_path / "conf" / "config.yaml").read_text() == "a: 1\n"
    assert {path.suffix for path in (tmp_path / "conf").iterdir()} == {".yaml", ".properties"}


def bytes_of(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([mb]?)", text.removesuffix("b") or "0").groups()  # type: ignore[union-attr]
    return int(number) << (20 if unit == "m" else 0)


def memory_options(words: tuple[str, ...] | list[str]) -> dict[str, int]:
    """The sizes (bytes) among Java's options."""
    found = (re.fullmatch(r"-(?:XX:)?(Xms|Xmx|Max\w+Size)=?(\d+m?)", word) for word in words)
    return {match[1]: bytes_of(match[2]) for match in found if match}


@pytest.mark.parametrize(("process", "short"), [("jobmanager", "JM"), ("taskmanager", "TM")])
def test_java_is_given_what_flinks_own_script_would_give(tmp_path: Path, process: str, short: str) -> None:
    write_configuration(tmp_path, configuration(tmp_path, PORTS))
    outcome = subprocess.run(
        [
            jvm.JAVA,
            "-XX:TieredStopAtLevel=1",
            "-cp",
            f"{FLINK_HOME / 'bin' / 'bash-java-utils.jar'}:{classes().path}",
            "org.apache.flink.runtime.util.bash.BashJavaUtils",
            f"GET_{short}_RESOURCE_PARAMS",
            "--configDir",
            str(tmp_path / "conf"),
        ],
        env={**os.environ, **environ(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    options, properties = re.findall("BASH_JAVA_UTILS_EXEC_RESULT:(.*)", outcome.stdout)
    assert memory_options(PROCESSES[process][1]) == memory_options(options.split())
    configured = configuration(tmp_path, PORTS)
    derived = dict(re.findall(r"-D ([\w.-]+memory[\w.-]+)=(\d+)b", properties))
    assert len(derived) >= 5
    assert {name: bytes_of(configured[name]) for name in derived} == {name: int(size) for name, size in derived.items()}


def test_the_planner_is_on_the_path_once_and_without_its_loader() -> None:
    names = [path.name for path in classes().jars]
    assert [name for name in names if "planner" in name] == ["flink-table-planner-2.2.1.jar"]
    assert all(path.is_file() for path in classes().jars)
    assert any("kafka" in name for name in names)
