"""The entry point: `python -m local.dataproc --port=PORT --folder=FOLDER`.

On SIGTERM it ends its drivers. After a SIGKILL they go on, and the next process that opens the folder takes them over.
"""

from __future__ import annotations

import argparse
import datetime as dt
import fcntl
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from local.dataproc.batches import Batches, Limits
from local.dataproc.driver import SPARK_VERSION, Drivers
from local.dataproc.proxy import Proxy, certificate_in
from local.dataproc.server import serve
from local.dataproc.validation import SHORTEST_TTL


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="local.dataproc", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--proxy-port", type=int, default=0, help="of the proxy for Google's own clients; 0 for none")
    parser.add_argument("--folder", type=Path, required=True, help="state, and each batch's driver output")
    parser.add_argument("--cores", type=int, default=min(4, os.cpu_count() or 1), help="tasks of a batch at a time")
    parser.add_argument("--at-once", type=int, default=1, help="batches that run at the same time")
    parser.add_argument("--shortest-ttl", type=int, default=SHORTEST_TTL.seconds, help="seconds")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    options.folder.mkdir(parents=True, exist_ok=True)
    with (options.folder / "api.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            parser.error(f"another process serves {options.folder}")
        batches = Batches(
            options.folder,
            Drivers(options.cores),
            Limits(SPARK_VERSION, options.at_once, dt.timedelta(seconds=options.shortest_ttl)),
        )
        certificate = certificate_in(options.folder) if options.proxy_port else None
        server, tls_port = serve(batches, options.port, certificate)
        if options.proxy_port:
            Proxy(options.proxy_port, tls_port).start()
        while not stopping.wait(0.1):
            batches.step()
        server.stop(grace=1).wait()
        batches.stop()


if __name__ == "__main__":
    main()
