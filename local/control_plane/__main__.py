"""Serves the stand-in of Google's control plane until SIGTERM or SIGINT.

`python -m local.control_plane --folder DIR [--port N] [--mirror HOST=ADDRESS ...]` prints the variables that lead
Terraform's provider to it, as lines of a shell. `--mirror`: an emulator, such as
`storage.googleapis.com=http://127.0.0.1:4443`. No module imports it.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path

from local.control_plane.discovery import Catalogue
from local.control_plane.mirrors import Mirrors
from local.control_plane.server import ControlPlaneServer
from local.control_plane.service import ControlPlane
from local.control_plane.world import PROJECT, World


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description="A stand-in of Google Cloud's control plane.")
    parser.add_argument("--folder", type=Path, required=True, help="where its certificate is written")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--project", default=PROJECT)
    parser.add_argument("--polls", type=int, default=0, help="how often an operation is found unfinished")
    parser.add_argument("--mirror", action="append", default=[], metavar="HOST=ADDRESS")
    options = parser.parse_args()
    mirrors = Mirrors(dict(item.split("=", 1) for item in options.mirror))
    plane = ControlPlane(World(project=options.project, polls=options.polls), Catalogue(), mirrors)
    options.folder.mkdir(parents=True, exist_ok=True)
    server = ControlPlaneServer(plane, options.folder, options.port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    for name, value in server.client_environ().items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
