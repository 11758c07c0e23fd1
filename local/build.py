"""Builds the artifacts that ship, from this checkout.

`make build` (`python -m local.build`) makes all of them in `dist/`. `pipeline up` makes the same folders in the home of
its stack and runs them, so that what runs on one machine is what is deployed. Imported by `local.stack` and tests.

The same sources give the same bytes: files are in the order of their names, without times, and archives are stored
without compression, whose output depends on the version of zlib. The wheel alone is compressed, by hatchling.

    functions/NAME/        the source of a Cloud Function: main.py, its package, the core, requirements.txt with hashes,
                           which Google's builder gives to pip: the core is source beside main.py, as no hash can be
                           given for a path, and every further package is pinned
    functions/NAME.zip     the same without the Dockerfile, as Cloud Functions takes it
    cloudrun/NAME/         the same for a container; cloudrun/command/ holds the `pipeline` command's data commands
    flink/NAME/            the same for the master of a Flink cluster
    flink/NAME.zip         the same with the connectors' jars in jars/, and in packages/ what the lock names, for the
                           Python of the machine, which reaches no package registry
    dataproc_jobs/NAME/    the files of a batch: main.py, and as zips, which Spark imports from, its package, the core
                           and the packages that the runtime lacks
    composer_dags/         the DAGs as Composer's bucket holds them: their files and packages, and the core beside them
    bitcoin_pipeline-*.whl the core and its adapters as a wheel
    SHA256SUMS             of all these, to be checked by `sha256sum -c`

The folders in functions/ and cloudrun/ are contexts of images: each has `local/Dockerfile`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import sys
import zipfile
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

from local.checkout import ROOT

KINDS: Final = ("functions", "cloudrun", "flink", "dataproc_jobs")
"""The folders whose subfolders are deployables."""

CORE: Final = "bitcoin_pipeline"
BATCHES: Final = "dataproc_jobs"
DAGS: Final = "composer_dags"
ARCHIVED: Final = ("functions", "flink")
"""Kinds that are deployed as one zip."""

IMAGES: Final = ("functions", "cloudrun")
"""Kinds whose folder is the context of an image."""

CARRIED: Final = {"dataproc_jobs/candles": ("isal",)}
"""Packages that a batch carries, as they are installed here: for the Python and the platform of Dataproc's runtime."""

COMMAND: Final = "cloudrun/command"
"""The image of the `pipeline` command's data commands, which a scheduled job runs; it is no folder of the sources."""

_COMMAND_GROUNDS: Final = ("__init__.py", "checkout.py", "environment.py")
"""The modules of `local` that the command imports."""

MACHINE_PACKAGES: Final = ".flink-packages"
"""The folder of the packages of a Flink job's machine, which `local.machine_packages` fills."""

_TIME: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold."""

Files = dict[str, bytes]
"""The content of an artifact by its path, which is relative and has forward slashes."""


def main() -> None:
    """Build everything in `dist/` and print what is there."""
    target = ROOT / "dist"
    shutil.rmtree(target, ignore_errors=True)
    build(target)
    for name in deployables():
        if name.partition("/")[0] in ARCHIVED:
            (target / f"{name}.zip").write_bytes(zip_of({**artifact(name), **_carried(name)}))
    _write(target / COMMAND, {**command_context(), **image_files(COMMAND)})
    build_wheel(target)
    sums = {path: hashlib.sha256(content).hexdigest() for path, content in _read(target).items()}
    (target / "SHA256SUMS").write_text("".join(f"{digest}  {path}\n" for path, digest in sums.items()))
    for name in deployables():
        sys.stdout.write(f"{(target / name).relative_to(ROOT)}/\n")
    for path in sorted((*target.glob("*/*.zip"), *target.glob("*.whl"))):
        sys.stdout.write(f"{path.relative_to(ROOT)}  {path.stat().st_size:,} bytes\n")


def deployables() -> list[str]:
    """The deployables of this checkout, such as `functions/fetch_archive`."""
    return [*(f"{kind}/{path.parent.name}" for kind in KINDS for path in sorted((ROOT / kind).glob("*/main.py"))), DAGS]


def build(target: Path) -> None:
    """Make the folder of every deployable in `target`, and remove what is in the way.

    A file that is right already is not written again, so that Python's compiled files beside it stay valid.
    """
    for name in deployables():
        _write(target / name, {**artifact(name), **image_files(name)})


def command_context() -> Files:
    """The files of the command's image: its modules without the stack, and the core."""
    command = {f"local/command/{path}": content for path, content in _read(ROOT / "local" / "command").items()}
    grounds = {f"local/{name}": (ROOT / "local" / name).read_bytes() for name in _COMMAND_GROUNDS}
    core = {f"{CORE}/{path}": content for path, content in _read(ROOT / "src" / CORE).items()}
    requirements = command.pop("local/command/requirements.txt")
    main = b"from local.command.__main__ import main\n\nmain()\n"
    return {**command, **grounds, **core, "main.py": main, "requirements.txt": requirements}


def image_files(name: str) -> Files:
    """The files by which the folder of a deployable becomes the context of an image; none where it has no image."""
    kind, _, own = name.partition("/")
    if kind not in IMAGES:
        return {}
    return {
        "Dockerfile": f"ARG KIND={kind}\nARG NAME={own}\n".encode() + (ROOT / "local" / "Dockerfile").read_bytes(),
        "Dockerfile.slim": (ROOT / "local" / "Dockerfile.slim").read_bytes(),
        "Dockerfile.dockerignore": b"**/__pycache__\n",
    }


def artifact(name: str) -> Files:
    """The files of a deployable as they ship, the jars of Flink's connectors aside."""
    own = _read(ROOT / name)
    core = {f"{CORE}/{path}": content for path, content in _read(ROOT / "src" / CORE).items()}
    if name == DAGS:
        return {**{path: own[path] for path in own if path != "requirements.txt"}, **core}  # Composer brings Airflow
    if not name.startswith(f"{BATCHES}/"):
        return {**own, **core}
    packages = {path.partition("/")[0] for path in own if path.endswith("/__init__.py")}
    modules = {path: own[path] for path in own if path.partition("/")[0] in packages}
    zips = {f"{package}.zip": zip_of(modules) for package in sorted(packages)}
    carried = {f"{package}.zip": zip_of(_installed(package)) for package in CARRIED.get(name, ())}
    return {"main.py": own["main.py"], **zips, **carried, f"{CORE}.zip": zip_of(core)}


def zip_of(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files, whose bytes follow from them alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _TIME)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[path])
    return buffer.getvalue()


def build_wheel(target: Path) -> Path:
    """The wheel, built into `target`."""
    import hatchling.build

    with contextlib.chdir(ROOT):  # a build backend builds the project in the current folder
        return target / str(hatchling.build.build_wheel(str(target)))


def _installed(package: str) -> Files:
    """The modules and the licence of an installed package, without what the installer adds."""
    files = distribution(package).files or ()
    kept = [path for path in files if path.parts[0] == package or "licenses" in path.parts]
    return {path.as_posix(): path.read_binary() for path in kept if "__pycache__" not in path.parts}


def _carried(name: str) -> Files:
    """The jars and the packages of a Flink job, which its machine gets with its bundle."""
    if not name.startswith("flink/"):
        return {}
    jars = sorted((ROOT / ".jars" / "flink").glob("*.jar"))
    if not jars:
        raise FileNotFoundError(f"{ROOT / '.jars' / 'flink'} has no jars; run `make setup`")
    folder = ROOT / MACHINE_PACKAGES
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is missing; run `python3 -m local.setup machine-packages`")
    packages = {f"packages/{path}": content for path, content in _read(folder).items()}
    return {**{f"jars/{jar.name}": jar.read_bytes() for jar in jars}, **packages}


def _is_left_out(name: str) -> bool:
    return name == "__pycache__" or (name.startswith(".") and name != ".airflowignore")


def _read(folder: Path) -> Files:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(map(_is_left_out, path.relative_to(folder).parts))
    }


def _write(folder: Path, files: Files) -> None:
    present = _read(folder) if folder.exists() else {}
    for path in present.keys() - files.keys():
        (folder / path).unlink()
    for path, content in files.items():
        if present.get(path) != content:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)


if __name__ == "__main__":
    main()
