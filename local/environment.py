"""The variables that lead a program to a stack on this machine, and nowhere else.

The ground floor of `local`: imported by the `pipeline` command, which may be installed without the rest, and by the
stack. Standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from local.checkout import IS_CHECKOUT, ROOT

_LEADS_AWAY: Final = (
    *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_GCLOUD_ADC_PATH_OVERRIDE", "CLOUDSDK_CONFIG"),
    "PIPELINE_IMPERSONATED_ACCOUNT",
    *("NO_PROXY", "no_proxy", "no_grpc_proxy"),
)
_LEADS_AWAY_PREFIXES: Final = ("PG", "KAFKA_", "PUBSUB_")
"""libpq alone reads some thirty variables that choose a server, a password or how TLS is used."""


def stack_home(environ: Mapping[str, str]) -> Path | None:
    """The home of the user's stack: PIPELINE_HOME or the checkout's `.pipeline`; None without either."""
    if home := environ.get("PIPELINE_HOME"):
        return Path(home)
    return ROOT / ".pipeline" if IS_CHECKOUT else None


def env_file(home: Path) -> Path:
    """The file of `NAME=value` lines that describes the stack in `home`; it exists only while that stack is up."""
    return home / "env"


def read_env_file(path: Path) -> dict[str, str]:
    """The variables in a file of `NAME=value` lines; none when the file does not exist."""
    if not path.exists():
        return {}
    pairs = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}


def beside_a_stack(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without what would lead to real credentials, through a proxy, or to another database or broker."""
    return {
        name: value
        for name, value in environ.items()
        if name not in _LEADS_AWAY and not name.startswith(_LEADS_AWAY_PREFIXES)
    }


def replace_process_environ(environ: Mapping[str, str]) -> None:
    """Make `environ` the environment of this process; Google's libraries and libpq read their variables from there.

    For entry points only, before the first client is made.
    """
    variables = dict(environ)
    os.environ.clear()
    os.environ.update(variables)
