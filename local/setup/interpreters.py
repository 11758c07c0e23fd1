"""Finds the interpreters that the environments need, or downloads them with uv.

Imported by `local.setup` only.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from local.setup.environments import SetupError

_PROBE = (
    "import sys, ssl, ctypes, venv; "
    "print('%d.%d' % sys.version_info[:2], sys.implementation.name, getattr(sys, '_base_executable', sys.executable))"
)
_PROBE_SECONDS = 30


def variable(version: str) -> str:
    """The environment variable with the path of an interpreter: PYTHON311 for 3.11."""
    return f"PYTHON{version.replace('.', '')}"


def find(version: str, environ: Mapping[str, str]) -> Path | None:
    """A CPython `version` of this machine outside virtual environments; None when there is none.

    An interpreter in the version's variable is used without a search. Raises SetupError when it is another version. The
    shims of version managers work only for the version that is chosen in their folder, so the folders of pyenv, asdf,
    mise and uv are searched too: those below the home folder, and those beside any interpreter on PATH.
    """
    named = environ.get(variable(version))
    if named:
        is_found, found = _probe(named, environ)
        if is_found != version or found is None:
            raise SetupError(f"{variable(version)} must name a CPython {version}, got {named} ({is_found})")
        return found
    for candidate in candidates(version, environ):
        is_found, found = _probe(str(candidate), environ)
        if is_found == version and found is not None:
            return found
    return None


def fetch(version: str, uv: Path, environ: Mapping[str, str]) -> Path:
    """A CPython `version` that uv downloads, or has downloaded earlier. Raises SetupError when the download fails."""
    commands = [
        [str(uv), "python", "find", "--no-config", "--managed-python", "--no-python-downloads", version],
        [str(uv), "python", "install", "--no-config", "--no-bin", version],
    ]
    output = ""
    for command in (commands[0], commands[1], commands[0]):
        outcome = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False)
        if outcome.returncode == 0 and command is commands[0]:
            return Path(outcome.stdout.strip())
        output = outcome.stderr.strip() or output
    causes = [line.strip() for line in output.splitlines() if line.strip()]
    reason = causes[-1].replace("cause: ", "").replace("Caused by: ", "") if causes else "uv gave no reason"
    raise SetupError(
        f"Python {version} is needed, is not on this machine, and could not be downloaded ({reason}): install it and "
        f"give its path (make setup {variable(version)}=/path/to/python{version}), or give a mirror of uv's builds "
        "(UV_PYTHON_INSTALL_MIRROR=URL make setup)"
    )


def candidates(version: str, environ: Mapping[str, str]) -> Iterator[Path]:
    """Paths where an interpreter of `version` may be, the likeliest first; the files need not exist."""
    names = (f"python{version}", "python3", "python")
    folders = [Path(folder) for folder in environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    yield Path(sys.executable)
    for folder in (*folders, Path("/usr/local/bin"), Path("/usr/bin")):
        for name in names:
            yield folder / name
    for versions in _version_folders(folders, environ):
        for installed in sorted(versions.glob(f"*{version}*"), reverse=True):
            yield installed / "bin" / f"python{version}"


def _version_folders(folders: list[Path], environ: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environ.get("HOME") or "/nonexistent")
    if environ.get("PYENV_ROOT"):
        yield Path(environ["PYENV_ROOT"], "versions")
    yield home / ".pyenv" / "versions"
    yield home / ".asdf" / "installs" / "python"
    yield home / ".local" / "share" / "mise" / "installs" / "python"
    yield home / ".local" / "share" / "uv" / "python"
    # For VERSIONS/3.12.1/bin on PATH its siblings are other versions; for ROOT/shims they are in ROOT/versions.
    for folder in (Path(sys.executable).resolve().parent, *folders):
        if folder.name == "bin" and any(sign.isdigit() for sign in folder.parent.name):
            yield folder.parent.parent
        elif folder.name == "shims":
            yield folder.parent / "versions"


def _probe(candidate: str, environ: Mapping[str, str]) -> tuple[str, Path | None]:
    """The version and the real path of a candidate; for one that is no CPython, the reason and None."""
    path = Path(candidate)
    if not path.is_file() or not os.access(path, os.X_OK):
        return "not a program", None
    try:
        outcome = subprocess.run(
            [candidate, "-I", "-c", _PROBE],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error), None
    words = outcome.stdout.strip().split(" ", 2)
    if outcome.returncode or len(words) != 3 or words[1] != "cpython":
        lines = outcome.stderr.strip().splitlines()
        return lines[-1] if lines else "not CPython", None
    return words[0], Path(words[2]).resolve()
