"""Prints the README's table of our images: `make bench-images`.

`python -m tests.containers.table [STARTS]`: sizes as Docker states them, and the times from `docker run` to the first
thing that an image does, each the median of some starts.
"""

from __future__ import annotations

import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from local.backing.images import chosen, image
from local.stack.config import PORTS, StackConfig
from local.stack.containers import engine as client_of_engine
from local.stack.ports import free_ports
from local.waiting import wait_for
from tests.containers.engine import engine, engine_folder
from tests.containers.stand_ins import images

FIRST: Final = {
    "producer": "its first request to the broker",
    "dashboard": "its first answer",
    "store_setup": "the end of `--help`",
    "fetch_archive": "its first answer",
    "publish_live": "its first answer",
    "archive_live": "its first answer",
}
"""The moment that ends the measured time of each image."""

_SECONDS: Final = 60


def megabytes(name: str) -> float:
    """The size of an image."""
    with client_of_engine() as client:
        return float(client.images.get(image(name, chosen(os.environ))).attrs["Size"]) / 1e6


def start_seconds(name: str) -> float:
    """The time from `docker run` to what FIRST has of the image, on a machine where nothing else of a stack runs."""
    with tempfile.TemporaryDirectory() as home:
        config = StackConfig(Path(home), free_ports(PORTS), images=chosen(os.environ))
        container = {**config.containers(), **config.jobs()}[name]
    environ = {**container.environ, "PGPASSWORD": "none"}
    own = f"table-{name}"
    command = ["docker", "run", "--rm", f"--name={own}", "--network=host", "--read-only", "--cap-drop=ALL", "--init"]
    command += [f"--env={key}={value}" for key, value in environ.items()]
    command += [container.image, *(["--help"] if name in config.jobs() else [])]
    null = subprocess.DEVNULL
    with socket.create_server(("127.0.0.1", config.ports["kafka"])) as broker:
        broker.settimeout(_SECONDS)
        began = time.monotonic()
        with subprocess.Popen(command, stdin=null, stdout=null, stderr=null) as running:
            try:
                if name in config.jobs():
                    running.wait(_SECONDS)
                elif name == "producer":
                    broker.accept()[0].close()
                else:
                    wait_for(f"{name} to answer", lambda: _answers(config.ports[name]), _SECONDS, 0.01)
                return time.monotonic() - began
            finally:
                subprocess.run(("docker", "rm", "--force", own), capture_output=True, check=False)
                running.wait(_SECONDS)


def _answers(port: int) -> bool:
    with suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
        connection.request("GET", "/live")
        return connection.getresponse().status > 0
    return False


def main() -> None:
    """Print the table."""
    starts = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with engine(engine_folder()):
        os.environ.update(images())
        sys.stdout.write("| Image | Size | From `docker run` |\n|---|---|---|\n")
        for name in FIRST:
            seconds = statistics.median(start_seconds(name) for _ in range(starts))
            sys.stdout.write(f"| {name} | {megabytes(name):.0f} MB | {seconds:.1f} s to {FIRST[name]} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
