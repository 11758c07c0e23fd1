"""Java's archives of classes: they are made from lists of loaded classes, and used with unchanged jars only."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from local.backing.kafka import classes as kafka_classes
from local.java import jvm
from local.java.jvm import Classes, command, make_archive


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(jvm, "PREPARED", tmp_path / "prepared")
    return tmp_path / "prepared"


def test_other_jars_have_another_archive(tmp_path: Path, prepared: Path) -> None:
    first, second = tmp_path / "a.jar", tmp_path / "b.jar"
    first.write_text("a")
    second.write_text("b")
    archive = Classes("x", (first, second)).archive
    assert archive.parent == prepared
    assert Classes("x", (first, second)).archive == archive
    assert Classes("x", (second, first)).archive != archive
    first.write_text("another")
    assert Classes("x", (first, second)).archive != archive


def test_without_an_archive_classes_are_listed_only_when_asked(tmp_path: Path, prepared: Path) -> None:
    classes = Classes("x", (tmp_path,))
    assert command(classes, ("-Xmx1m",), "Main", {}) == (jvm.JAVA, "-Xmx1m", "-cp", str(tmp_path), "Main")
    listing = command(classes, (), "Main", {jvm.LISTS_VARIABLE: "/lists"})
    assert listing[1].startswith(f"-XX:DumpLoadedClassList=/lists/{classes.archive.stem}.")
    prepared.mkdir()
    classes.archive.touch()
    assert command(classes, (), "Main", {jvm.LISTS_VARIABLE: "/lists"})[1] == f"-XX:SharedArchiveFile={classes.archive}"


def test_an_archive_is_made_of_a_list_and_java_takes_classes_from_it(tmp_path: Path, prepared: Path) -> None:
    classes = Classes("kafka", kafka_classes().jars)
    assert not make_archive(classes, tmp_path)  # nothing was listed
    lists = {jvm.LISTS_VARIABLE: str(tmp_path)}
    subprocess.run((*command(classes, (), "kafka.Kafka", lists), "--version"), check=True, capture_output=True)
    (listed,) = tmp_path.glob("*.classes")
    listed.write_text(listed.read_text() + "kafka/Cut")  # the incomplete last line of a program that still runs

    assert make_archive(classes, tmp_path)
    assert not make_archive(classes, tmp_path)  # the archive exists
    log = subprocess.run(
        (*command(classes, ("-Xshare:on", "-Xlog:class+load"), "kafka.Kafka", {}), "--version"),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "kafka.Kafka$ source: shared objects file" in log
    assert [path.name for path in prepared.iterdir() if path.suffix not in (".jsa", ".lock")] == []
