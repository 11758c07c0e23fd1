"""Java archives without Maven: one lock of Maven coordinates with checksums, and the jars it names.

`python -m local.java.jars fetch` (part of set-up) puts the jars that `jars.toml` locks into `.jars/<set>/`; nothing is
downloaded after that. `python -m local.java.jars lock` resolves the coordinates again and writes their checksums. The
registry is jgo's default, or that of the user's own jgo configuration. Imported by `local.backing` and by tests.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tomllib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jgo.maven import MavenContext

from local.checkout import ROOT

LOCK: Final = Path(__file__).with_name("jars.toml")
FOLDER: Final = ROOT / ".jars"

_AT_ONCE: Final = 6
_TRIES: Final = 3


class JarsError(RuntimeError):
    """A jar cannot be fetched with its locked checksum."""


@dataclass(frozen=True, slots=True)
class JarSet:
    """Jars of one JVM. `coordinates`: those requested; `sha256`: the digest of every jar, by `group:artifact:version`.

    `transitive`: whether the set includes the dependencies of the coordinates; Flink's connectors contain theirs.
    """

    name: str
    coordinates: tuple[str, ...]
    transitive: bool
    sha256: Mapping[str, str]

    def file_names(self) -> dict[str, str]:
        """The file name of each locked coordinate's jar."""
        return {coordinate: "-".join(coordinate.split(":")[1:]) + ".jar" for coordinate in self.sha256}


def read_lock(path: Path = LOCK) -> list[JarSet]:
    """The sets in the lock."""
    content = tomllib.loads(path.read_text())
    return [
        JarSet(name, tuple(item["coordinates"]), item["transitive"], item.get("sha256", {}))
        for name, item in content.items()
    ]


def classpath(name: str) -> str:
    """All jars of a set, as Java's -cp takes them."""
    return str(FOLDER / name / "*")


def fetch(sets: Iterable[JarSet], folder: Path = FOLDER) -> None:
    """Make `folder`/<set> hold exactly the locked jars. Raises JarsError when one differs from its checksum.

    Jars that are complete stay as they are, so an interrupted run continues where it stopped.
    """
    for jars in sets:
        names = jars.file_names()
        (folder / jars.name).mkdir(parents=True, exist_ok=True)
        for stale in set((folder / jars.name).iterdir()) - {folder / jars.name / name for name in names.values()}:
            stale.unlink()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda item: _fetch_one(*item), _missing(jars, folder)))
    shutil.rmtree(folder / "download", ignore_errors=True)


def locked(jars: JarSet, folder: Path = FOLDER) -> JarSet:
    """The set with the checksum of every jar to which its coordinates resolve now."""
    from jgo.parse import Coordinate

    context = _context(folder / "download")
    coordinates = [replace(Coordinate.parse(text), scope="compile") for text in jars.coordinates]
    requested = [context.create_dependency(coordinate) for coordinate in coordinates]
    needed, further = context.resolver.resolve(requested)
    if jars.transitive:
        needed = [*needed, *(item for item in further if item.scope in ("compile", "runtime"))]
    found = {f"{item.groupId}:{item.artifactId}:{item.version}": item.artifact.resolve() for item in needed}
    return JarSet(jars.name, jars.coordinates, jars.transitive, {name: _sha256(found[name]) for name in sorted(found)})


def _missing(jars: JarSet, folder: Path) -> list[tuple[str, str, Path]]:
    wanted = [(name, jars.sha256[name], folder / jars.name / file) for name, file in jars.file_names().items()]
    return [(name, digest, path) for name, digest, path in wanted if not path.exists() or _sha256(path) != digest]


def _fetch_one(coordinate: str, digest: str, path: Path) -> None:
    import requests

    group, artifact, version = coordinate.split(":")
    component = _context(path.parent.parent / "download").project(group, artifact).at_version(version)
    reason = ""
    for _ in range(_TRIES):
        try:
            loaded = component.artifact().resolve()
        except (requests.RequestException, RuntimeError) as error:  # jgo's own errors are RuntimeErrors
            reason = str(error)
            # jgo leaves a download that broke off under its final name.
            if (broken := component.artifact().cached_path) is not None:
                broken.unlink(missing_ok=True)
            continue
        if _sha256(loaded) == digest:
            loaded.replace(path)
            return
        reason = f"its sha256 is {_sha256(loaded)}, the lock has {digest}"
        loaded.unlink()
    raise JarsError(f"{coordinate} could not be fetched: {reason}")


def _context(cache: Path) -> MavenContext:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    repositories = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    return MavenContext(repo_cache=cache, remote_repos=repositories, timeout=60)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _written(sets: Iterable[JarSet]) -> str:
    lines = ["# Maven coordinates, and what they resolve to: `make lock-jars` writes the checksums."]
    for jars in sets:
        lines += [f"\n[{jars.name}]", "coordinates = ["]
        lines += [f'  "{coordinate}",' for coordinate in jars.coordinates]
        lines += ["]", f"transitive = {str(jars.transitive).lower()}", f"\n[{jars.name}.sha256]"]
        lines += [f'"{coordinate}" = "{digest}"' for coordinate, digest in jars.sha256.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Fetch the locked jars, or write the lock anew."""
    parser = argparse.ArgumentParser(prog="python -m local.java.jars", description=__doc__)
    parser.add_argument("command", choices=["fetch", "lock"])
    if parser.parse_args().command == "fetch":
        try:
            fetch(read_lock())
        except JarsError as error:
            sys.exit(str(error))
    else:
        LOCK.write_text(_written([locked(jars) for jars in read_lock()]))


if __name__ == "__main__":
    main()
