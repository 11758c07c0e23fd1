"""The command `python3 -m local.setup COMMAND`, which the Makefile calls; no module imports it.

Exit codes: 0 done, 1 not done (the last line has the reason and what to do), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys

from local.setup import doctor, install, locks
from local.setup.environments import (
    AIRFLOW,
    AUDIT,
    COMPOSE,
    MACHINE_PACKAGES,
    OLDEST_AIRFLOW,
    PEER,
    ROOT,
    TERRAFORM,
    WHOLE,
    SetupError,
)

_INSTALLED = {
    "install": WHOLE,
    "peer": (PEER,),
    "airflow": (AIRFLOW,),
    "oldest-airflow": (OLDEST_AIRFLOW,),
    "terraform": (TERRAFORM,),
    "machine-packages": (MACHINE_PACKAGES,),
    "compose": (COMPOSE,),
}
"""The steps of each command that installs."""


def main() -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m local.setup", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="installs all that the demo and the tests need")
    commands.add_parser("peer", help="installs the peer of `make bench-live`, which needs a C compiler")
    commands.add_parser("airflow", help="installs Airflow, for `pipeline up --airflow` and `make test-airflow`")
    commands.add_parser("oldest-airflow", help="installs the oldest Airflow on which the DAGs are tested")
    commands.add_parser("terraform", help="installs Terraform and the programs that examine its files")
    commands.add_parser("machine-packages", help="installs what the Flink job's machine needs, for `make build`")
    commands.add_parser("compose", help="installs docker compose, for `make test-containers`")
    lock = commands.add_parser("lock", help="compiles every lock")
    lock.add_argument("--upgrade", action="store_true", help="take the newest versions that pyproject.toml allows")
    lock.add_argument("--only", help="compile a single lock, given by its file")
    commands.add_parser("outdated", help="lists pins that are behind, and known advisories")
    commands.add_parser("sbom", help="writes the bill of materials of each image into dist/")
    commands.add_parser("doctor", help="lists what this machine has, and what is missing")
    options = parser.parse_args()
    os.chdir(ROOT)
    try:
        if options.command in _INSTALLED:
            install.install(_INSTALLED[options.command], os.environ)
        elif options.command == "lock":
            install.install([], os.environ)
            locks.compile_all(os.environ, upgrade=options.upgrade, only=options.only)
        elif options.command == "outdated":
            install.install([AUDIT], os.environ)
            return int(locks.outdated(os.environ))
        elif options.command == "sbom":
            install.install([AUDIT], os.environ)
            locks.write_bills(ROOT / "dist")
        else:
            return int(not doctor.examine(os.environ))
    except SetupError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"error: {error}; the same command continues where it stopped\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted; the same command continues where it stopped\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
