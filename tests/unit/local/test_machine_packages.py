"""Which packages the bundle of the Flink job carries."""

from __future__ import annotations

import re

from local.machine_packages import LOCK, PYTHON_VERSION, without_flink


def test_flinks_own_packages_are_left_out_with_their_hashes() -> None:
    lock = LOCK.read_text("utf-8")
    kept = without_flink(lock)
    names = re.findall(r"^([\w.-]+)==", kept, re.M)
    assert {"confluent-kafka", "google-cloud-storage"} <= set(names)
    assert [name for name in names if name.startswith("apache-flink")] == []
    assert set(re.findall(r"^([\w.-]+)==", lock, re.M)) - set(names) == {"apache-flink", "apache-flink-libraries"}
    after = lock.partition("apache-flink-libraries==")[2].partition("\n")[2]
    first = re.search(r"--hash=sha256:(\w+)", after)
    assert first is not None
    assert first[1] not in kept
    assert kept.count("--hash=") < lock.count("--hash=")


def test_the_machine_demands_the_python_of_its_packages() -> None:
    script = LOCK.parents[2] / "terraform" / "modules" / "candles_stream" / "files" / "install"
    assert f'"$version" = {PYTHON_VERSION} ]' in script.read_text("utf-8")
