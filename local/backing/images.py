"""The names of the images that a stack in containers runs, and what replaces them.

Imported by `local.stack` and by tests.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PREFIX: Final = "PIPELINE_IMAGE_"
"""Prefix of the variables that replace an image."""

BUILT: Final = {
    "bigquery": "local/backing/bigquery",
    **{name: f"cloudrun/{name}" for name in ("producer", "dashboard", "store_setup")},
    **{name: f"functions/{name}" for name in ("fetch_archive", "publish_live", "archive_live")},
}
"""The images that are built on this machine, with the folder of each."""

_PULLED: Final[Mapping[str, str]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def chosen(environ: Mapping[str, str]) -> dict[str, str]:
    """The images that variables replace, by their names. Raises ValueError for the name of no image."""
    found = {name.removeprefix(PREFIX).lower(): value for name, value in environ.items() if name.startswith(PREFIX)}
    known = {*_PULLED, *BUILT, "kafka"}
    if unknown := sorted(found.keys() - known):
        names = ", ".join(f"{PREFIX}{name.upper()}" for name in unknown)
        raise ValueError(f"{names} replaces no image; there are {', '.join(sorted(known))}")
    return found


def image(name: str, replaced: Mapping[str, str]) -> str:
    """The image `name` as Docker finds it; an image that is built here has a tag of this project."""
    return replaced.get(name) or _PULLED.get(name) or f"bitcoin-pipeline/{name}:local"
