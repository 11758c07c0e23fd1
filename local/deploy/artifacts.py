"""The artifacts of `dist/` under the names by which they are stored: each name has the hash of its content.

Imported by `local.deploy.publishing`. Pure but for reading the folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local.deploy.target import Target

BATCH: Final = "dataproc_jobs/candles"
FLINK: Final = "flink/candles"
FUNCTIONS: Final = ("archive_live", "fetch_archive", "publish_live")
IMAGES: Final = ("command", "dashboard", "producer", "store_setup")
"""Images that are built from `dist/cloudrun`."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file and the name of its object."""

    path: Path
    object_name: str


@dataclass(frozen=True, slots=True)
class ImageContext:
    """The context of an image. `tag`: a hash of its files, so that the same files are built once."""

    name: str
    folder: Path
    tag: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that is published: functions and the Flink bundle by name, the batch's files, and the images."""

    functions: Mapping[str, StoredFile]
    batch_main: StoredFile
    batch_files: tuple[StoredFile, ...]
    flink: StoredFile
    images: tuple[ImageContext, ...]

    def files(self) -> Iterator[StoredFile]:
        """Every file that is stored as an object."""
        yield from self.functions.values()
        yield self.batch_main
        yield from self.batch_files
        yield self.flink


def bundle_of(dist: Path) -> Bundle:
    """The artifacts in `dist`. Raises FileNotFoundError when one is missing."""
    functions = {name: _zip(dist, f"functions/{name}") for name in FUNCTIONS}
    folder = dist / BATCH
    prefix = f"{BATCH}-{_digest(_files(folder))}"
    files = {path.name: StoredFile(path, f"{prefix}/{path.name}") for path in _files(folder)}
    images = tuple(_context(dist / "cloudrun" / name) for name in IMAGES)
    main = files.pop("main.py")
    return Bundle(functions, main, tuple(files.values()), _zip(dist, FLINK), images)


def terraform_variables(bundle: Bundle, target: Target, images: Mapping[str, str]) -> dict[str, Any]:
    """The value of Terraform's variable `artifacts`. `images`: reference with a digest of each image."""
    return {
        "artifacts": {
            "bucket": target.artifact_bucket,
            "builder": target.builder,
            "registry": target.registry,
            "functions": {name: item.object_name for name, item in bundle.functions.items()},
            "batch": {
                "main": bundle.batch_main.object_name,
                "files": [item.object_name for item in bundle.batch_files],
            },
            "flink": bundle.flink.object_name,
            "images": dict(images),
        }
    }


def _zip(dist: Path, name: str) -> StoredFile:
    path = dist / f"{name}.zip"
    return StoredFile(path, f"{name}-{hashlib.sha256(path.read_bytes()).hexdigest()}.zip")


def _context(folder: Path) -> ImageContext:
    return ImageContext(folder.name, folder, _digest(_files(folder))[:32])


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is missing; run `make build`")
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _digest(paths: list[Path]) -> str:
    """A hash of files and of their names."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
