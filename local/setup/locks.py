"""Compiles the locks from `pyproject.toml`, lists pins that are behind or have an advisory, writes bills of materials.

Imported by `local.setup` only.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from local.setup import packages
from local.setup.environments import AUDIT, LOCKS, ROOT, UV, Lock, SetupError

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)


def compile_all(environ: Mapping[str, str], *, upgrade: bool, only: str | None = None) -> None:
    """Write every lock, with hashes and without an index address. Raises SetupError when a compilation fails.

    `upgrade`: take the newest versions that the groups allow. `only`: the file of the one lock to write.
    """
    for lock in LOCKS:
        if only in (None, lock.file):
            _compile(lock, lock.path, environ, upgrade=upgrade)


def pins(text: str) -> dict[str, set[str]]:
    """The versions of each package in a lock; several where they differ by a marker."""
    found: dict[str, set[str]] = {}
    for name, version in _PIN.findall(text):
        found.setdefault(name.lower(), set()).add(version)
    return found


def behind(now: str, newest: str) -> list[tuple[str, str, str]]:
    """(package, pinned, newest) of each package that a newly compiled lock changes; '-' where a lock has none."""
    old, new = pins(now), pins(newest)
    spelled = {
        name: (" ".join(sorted(old.get(name, {"-"}))), " ".join(sorted(new.get(name, {"-"})))) for name in {*old, *new}
    }
    return [(name, pinned, latest) for name, (pinned, latest) in sorted(spelled.items()) if pinned != latest]


def outdated(environ: Mapping[str, str]) -> bool:
    """Print the pins that are behind and the known advisories; True for an advisory, or where the check is incomplete.

    A deployable's lock has the main lock's pins, so it is not listed again. Raises SetupError when a compilation fails.
    """
    is_unsafe = False
    for lock in (lock for lock in LOCKS if lock.constraint is None):
        with tempfile.TemporaryDirectory() as folder:
            newest = Path(folder) / "requirements.txt"
            newest.write_text(lock.path.read_text())
            _compile(lock, newest, environ, upgrade=True)
            rows = behind(lock.path.read_text(), newest.read_text())
        _print(f"{lock.file}: {len(rows)} behind" if rows else f"{lock.file}: up to date")
        for row in rows:
            _print(f"  {row[0]:40} {row[1]:20} {row[2]}")
        is_unsafe = _audit(lock) or is_unsafe
    return is_unsafe


def write_bills(folder: Path) -> None:
    """Write the bill of materials of each image's packages, by CycloneDX, from its lock, and print the files.

    It needs no network. The packages of the image's base are not in it. Raises SetupError when one cannot be written.
    """
    for lock in (lock for lock in LOCKS if lock.file.startswith(("cloudrun/", "functions/"))):
        bill = (folder / lock.file).parent.with_suffix(".cdx.json")
        bill.parent.mkdir(parents=True, exist_ok=True)
        command = (str(AUDIT.path / "bin" / "cyclonedx-py"), "requirements", "--output-reproducible", "-o", str(bill))
        outcome = subprocess.run((*command, str(lock.path)), capture_output=True, text=True, check=False)
        if outcome.returncode:
            raise SetupError(f"the bill of materials of {lock.file} failed: {outcome.stderr.strip()[-500:]}")
        _print(str(bill))


def _audit(lock: Lock) -> bool:
    command = [str(AUDIT.path / "bin" / "pip-audit"), "--require-hashes", "--disable-pip", "--progress-spinner=off"]
    outcome = subprocess.run([*command, "-r", str(lock.path)], capture_output=True, text=True, check=False)
    unknown = outcome.stdout.count("could not be audited")
    if unknown:
        _print(f"  advisories: unknown for {unknown} packages, for which the index has no metadata")
    elif outcome.returncode:
        _print("  advisories:\n" + (outcome.stdout.strip() or outcome.stderr.strip()[-500:]))
    else:
        _print("  advisories: none is known")
    return bool(outcome.returncode or unknown)


def _compile(lock: Lock, output: Path, environ: Mapping[str, str], *, upgrade: bool) -> None:
    command = [
        *(str(UV.path / "bin" / "uv"), "pip", "compile", "--quiet", "--universal", "--generate-hashes"),
        *("--no-emit-index-url", "--no-header", "pyproject.toml", "--python-version", lock.python),
        *(word for group in lock.groups for word in ("--group", group)),
        *(("--constraints", lock.constraint) if lock.constraint else ()),
        *(("--overrides", lock.override) if lock.override else ()),
        *(("--excludes", lock.excludes) if lock.excludes else ()),
        *(("--upgrade",) if upgrade and not lock.constraint else ()),
        *("--output-file", str(output)),
    ]
    sources = packages.pip_sources(UV.python, environ)
    settings = packages.uv_environ(environ, sources, ROOT / ".uv_cache")
    outcome = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise SetupError(f"compiling {lock.file} failed: {outcome.stderr.strip()[-2000:]}")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
