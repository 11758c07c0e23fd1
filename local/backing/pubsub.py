"""Pub/Sub of a stack: Google's emulator, from the Cloud SDK where it is installed, with the pipeline's topic in it.

`python -m local.backing.pubsub --jar J --port P --project N` runs it until SIGTERM. It keeps nothing on disk, so the
topic is made at every start. Imported by `local.stack`, which starts it so, and by tests.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path
from typing import Final

from bitcoin_pipeline import names
from local.backing.interface import LONGEST_CHAIN, PROJECT, BackingService, Place, ServiceSpec, module_command
from local.java import jvm
from local.waiting import answers, wait_for

INSTALL: Final = "gcloud components install pubsub-emulator, or your system's package of it"
"""How to install the emulator, for messages."""

_MEMORY: Final = ("-Xms16m", "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_START_SECONDS: Final = 120
_SET_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG of prctl(2)


def pubsub(jar: Path | None) -> BackingService:
    """The emulator in `jar`; None turns events off, also for clients."""

    def processes(place: Place) -> list[ServiceSpec]:
        if jar is None:
            return []
        command = module_command(
            "local.backing.pubsub", f"--jar={jar}", f"--port={place.ports['pubsub']}", f"--project={PROJECT}"
        )
        ready = f"{place.url('pubsub')}/v1/{topic_path(PROJECT)}"
        return [ServiceSpec("pubsub", command, ready, needs=LONGEST_CHAIN, is_store=True)]

    def client_environ(place: Place) -> dict[str, str]:
        return {
            "PUBSUB_EMULATOR_HOST": place.address("pubsub") if jar else "",
            "PIPELINE_EVENTS_TOPIC": topic_path(PROJECT) if jar else "",
        }

    return BackingService(("pubsub",), processes, client_environ)


def installed_emulator(path: str | None = None) -> Path | None:
    """The emulator's jar in the Cloud SDK whose `gcloud` is on `path` (PATH by default), or None."""
    gcloud = shutil.which("gcloud", path=path)
    if gcloud is None:
        return None
    root = Path(gcloud).resolve().parent.parent
    jars = sorted((root / "platform" / "pubsub-emulator" / "lib").glob("cloud-pubsub-emulator-*-all.jar"))
    return jars[-1] if jars else None


def classes(jar: Path) -> jvm.Classes:
    """The classes that the emulator loads."""
    return jvm.Classes("pubsub", (jar,))


def _main_class(jar: Path) -> str:
    with zipfile.ZipFile(jar) as file:
        manifest = file.read("META-INF/MANIFEST.MF").decode()
    (name,) = (line.removeprefix("Main-Class: ") for line in manifest.splitlines() if line.startswith("Main-Class: "))
    return name


def topic_path(project: str) -> str:
    """`projects/P/topics/market-events`: the topic of events, as Google's clients name it."""
    return f"projects/{project}/topics/{names.EVENTS_TOPIC}"


def _die_with_parent() -> None:
    # A SIGKILL of this process must not leave the emulator behind on its port.
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


def main() -> None:
    """Run the emulator, make the topic, and end with it."""
    parser = argparse.ArgumentParser(prog="python -m local.backing.pubsub", description=__doc__)
    parser.add_argument("--jar", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--project", required=True)
    arguments = parser.parse_args()
    address = f"http://127.0.0.1:{arguments.port}"
    program = jvm.command(classes(arguments.jar), _MEMORY, _main_class(arguments.jar), os.environ)
    emulator = subprocess.Popen(
        (*program, "--host=127.0.0.1", f"--port={arguments.port}"),
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,  # noqa: PLW1509  # no thread runs yet
    )
    wait_for("the emulator to answer", lambda: emulator.poll() is not None or answers(address), _START_SECONDS)
    if emulator.poll() is None:
        topic = f"{address}/v1/{topic_path(arguments.project)}"
        request = urllib.request.Request(  # noqa: S310  # our own address
            topic, b"{}", {"Content-Type": "application/json"}, method="PUT"
        )
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310  # our own address
            pass
    sys.exit(emulator.wait())


if __name__ == "__main__":
    main()
