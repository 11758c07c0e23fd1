"""The place of the Pub/Sub emulator."""

from __future__ import annotations

from pathlib import Path

from local.backing.pubsub import installed_emulator, topic_path


def test_the_emulator_lies_in_the_sdk_that_gcloud_leads_to(tmp_path: Path) -> None:
    sdk, path = tmp_path / "sdk", tmp_path / "bin"
    for folder in (sdk / "bin", path):
        folder.mkdir(parents=True)
    (sdk / "bin" / "gcloud").touch(mode=0o755)
    assert installed_emulator(str(path)) is None  # no SDK
    (path / "gcloud").symlink_to(sdk / "bin" / "gcloud")
    assert installed_emulator(str(path)) is None  # an SDK without the emulator
    folder = sdk / "platform" / "pubsub-emulator" / "lib"
    folder.mkdir(parents=True)
    for version in ("0.8.19", "0.8.20"):
        (folder / f"cloud-pubsub-emulator-{version}-all.jar").touch()
    assert installed_emulator(str(path)) == folder / "cloud-pubsub-emulator-0.8.20-all.jar"


def test_the_topic_is_the_core_s() -> None:
    assert topic_path("local") == "projects/local/topics/market-events"
