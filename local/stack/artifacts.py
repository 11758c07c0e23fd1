"""What the batch runs, built from this checkout: the job's files and the core's wheel.

Used by `pipeline up`, which puts them where Dataproc and its stand-in fetch them from.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

import hatchling.build
from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

from local.checkout import ROOT
from local.stack.config import ARTIFACTS, LAKE


def publish(client: storage.Client) -> None:
    """Make the buckets if absent, and put the candles job and the core into the artifacts' bucket."""
    for name in (LAKE, ARTIFACTS):
        if client.lookup_bucket(name) is None:
            client.create_bucket(name)
    job = ROOT / "dataproc_jobs" / "candles"
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "candles/main.py": job / "main.py",
            "candles/candles_batch.zip": build_package(job / "candles_batch", Path(folder)),
            # Spark takes .py, .zip and .egg; a wheel is a zip.
            "candles/bitcoin_pipeline.zip": build_core(Path(folder)),
        }
        for name, path in files.items():
            client.bucket(ARTIFACTS).blob(name).upload_from_filename(path)


def build_core(folder: Path) -> Path:
    """The core's wheel, built into `folder`."""
    with contextlib.chdir(ROOT):  # where a build backend looks for its project
        return folder / str(hatchling.build.build_wheel(str(folder)))


def build_package(package: Path, folder: Path) -> Path:
    """A zip in `folder` of a package, from which Python imports it."""
    return Path(shutil.make_archive(str(folder / package.name), "zip", package.parent, package.name))
