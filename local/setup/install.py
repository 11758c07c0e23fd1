"""Brings the environments to the state of their locks, step by step; a step that is done is not repeated.

Imported by `local.setup` only. Each step writes a stamp when it is complete, so that an interrupted set-up continues
where it stopped, and one that is up to date takes no time.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from local.setup import interpreters, packages
from local.setup.environments import BIGQUERY, BUILD_LOCK, MAIN, ROOT, UV, Environment, Preparation, SetupError

_STAMP = ".whole"
_FORMAT = "2"
"""Version of the way in which environments are made; with another one, existing environments are made again."""


def install(steps: Sequence[Environment | Preparation], environ: Mapping[str, str]) -> None:
    """Bring environments and preparations to the state of the locks.

    Raises SetupError, whose message has in one line what is missing and what to do.
    """
    if all(_is_whole(step) for step in (UV, *steps)):
        return
    _require_platform()
    began, received = time.monotonic(), _received_bytes()
    with _alone():
        installer = _Installer(environ)
        for number, step in enumerate(steps, 1):
            if not _is_whole(step):
                installer.bring(step, f"set-up {number}/{len(steps)}")
    mib = (_received_bytes() - received) >> 20
    seconds = time.monotonic() - began
    _report(f"set-up is complete after {seconds:.0f} s, in which this machine received {mib} MiB from the network")


def state(step: Environment | Preparation) -> str:
    """The state of a step, measured by the present locks, in words."""
    if _is_whole(step):
        return "installed"
    return "behind its lock; `make setup` updates it" if _stamp_of(step).exists() else "not installed yet"


class _Installer:
    """Installs with uv, which it installs first."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        if not _is_whole(UV):
            self._install_uv()
        sources = packages.pip_sources(UV.python, environ)
        self._uv_environ = packages.uv_environ(environ, sources, ROOT / ".uv_cache")
        self._uv = UV.path / "bin" / "uv"

    def bring(self, step: Environment | Preparation, title: str) -> None:
        """Run one step."""
        began = time.monotonic()
        _require_room(step)
        _report(f"{title}: {step.holds} ({step.folder}, {step.mib} MiB on disk)")
        # From here on the step is incomplete, also for an earlier lock that is restored after an interruption.
        _stamp_of(step).unlink(missing_ok=True)
        if isinstance(step, Environment):
            self._bring_environment(step)
        else:
            self._prepare(step)
        _stamp_of(step).write_text(_digest(step))
        _report(f"{title}: done in {time.monotonic() - began:.0f} s")

    def _bring_environment(self, step: Environment) -> None:
        if not _is_usable(step):
            self._create(step)
        command = packages.sync(self._uv, step.python, step.lock.path, BUILD_LOCK.path, quiet=not sys.stderr.isatty())
        self._run(command, f"installing {step.lock.file} into {step.folder}")
        _complete(step)

    def _prepare(self, step: Preparation) -> None:
        step.path.mkdir(parents=True, exist_ok=True)
        try:
            self._run([str(MAIN.python), "-m", step.module, *step.arguments], step.holds)
        except SetupError as error:
            if step.is_needed:
                raise
            _report(f"{error}\nThe set-up continues without it.")

    def _create(self, step: Environment) -> None:
        version = step.lock.python
        python = interpreters.find(version, self._environ)
        if python is None:
            _report(f"Python {version} is not on this machine; uv downloads it")
            python = interpreters.fetch(version, self._uv, self._uv_environ)
        _remove(step.path)
        # Relocatable: its programs find their interpreter beside them after the folder was moved.
        command = [str(self._uv), "venv", "--quiet", "--relocatable", "--python", str(python), str(step.path)]
        packages.run(command, self._uv_environ, f"making {step.folder} with {python}", shown=False)

    def _run(self, command: list[str], what: str) -> None:
        packages.run(command, self._uv_environ, what, shown=sys.stderr.isatty())

    def _install_uv(self) -> None:
        _require_room(UV)
        _report(f"set-up: uv ({UV.folder}), with {sys.executable}")
        _remove(UV.path)
        plain = packages.pip_environ(self._environ, {})
        command = [sys.executable, "-m", "venv", str(UV.path)]
        try:
            packages.run(command, plain, "python -m venv", shown=False)
        except SetupError as error:
            _remove(UV.path)
            raise SetupError(
                f"{sys.executable} cannot make a virtual environment; install its venv module (Debian and Ubuntu: "
                f"apt-get install python3-venv) or give another one (make setup PYTHON=/path/to/python3): {error}"
            ) from error
        environ = packages.pip_environ(self._environ, packages.pip_sources(UV.python, self._environ))
        lock = str(UV.lock.path)
        install = ["-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps", "--require-hashes"]
        packages.run([str(UV.python), *install, "-r", lock], environ, "installing uv", shown=False)
        _stamp_of(UV).write_text(_digest(UV))


def _complete(step: Environment) -> None:
    """Add what an environment needs beside its packages."""
    if step is MAIN:
        # Relative lines, so that the checkout may be moved. The command is a program of the environment.
        (step.packages / "bitcoin_pipeline.pth").write_text("../../../../src\n../../../..\n")
        command = step.path / "bin" / "pipeline"
        command.unlink(missing_ok=True)
        command.symlink_to("../../local/pipeline")
    elif step is BIGQUERY:
        # DuckDB looks for extensions below its home, and the wheels keep theirs among the packages.
        for extension in step.packages.glob("duckdb_extension_*/extensions/*/*.duckdb_extension"):
            folder = step.path / "home" / ".duckdb" / "extensions" / extension.parent.name / "linux_amd64"
            folder.mkdir(parents=True, exist_ok=True)
            link = folder / extension.name
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(extension, folder))


def _is_whole(step: Environment | Preparation) -> bool:
    stamp = _stamp_of(step)
    is_stamped = stamp.exists() and stamp.read_text() == _digest(step)
    return is_stamped and (isinstance(step, Preparation) or step.python.exists())


def _is_usable(step: Environment) -> bool:
    """True for an environment of the right Python, in which packages can be added and removed."""
    configuration = step.path / "pyvenv.cfg"
    if not step.python.exists() or not configuration.exists():
        return False
    text = configuration.read_text()
    return f"version_info = {step.lock.python}." in text and "relocatable = true" in text


def _stamp_of(step: Environment | Preparation) -> Path:
    return step.path / _STAMP


def _digest(step: Environment | Preparation) -> str:
    digest = hashlib.sha256(_FORMAT.encode())
    if isinstance(step, Preparation):
        files = [ROOT / name for name in step.inputs]
        digest.update(b"" if step.is_needed else str(ROOT).encode())
    else:
        files = [step.lock.path] if step is UV else [step.lock.path, BUILD_LOCK.path]
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _require_platform() -> None:
    machine, libc = platform.machine(), platform.libc_ver()[0]
    if sys.platform != "linux" or machine != "x86_64" or libc != "glibc":
        raise SetupError(f"the stand-ins run on Linux with glibc on x86_64, this is {sys.platform} {libc} {machine}")


def _require_room(step: Environment | Preparation) -> None:
    # Half as much again, for the downloads in the cache while they are unpacked.
    free = shutil.disk_usage(ROOT).free >> 20
    if free < step.mib * 3 // 2:
        raise SetupError(
            f"{step.folder} needs {step.mib * 3 // 2} MiB of disk while it is installed, and {ROOT} has {free} MiB left"
        )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hold the lock of this folder, so that only one set-up at a time runs in it; a second one waits for the first."""
    try:
        file = (ROOT / ".setup.lock").open("w")
    except OSError as error:
        raise SetupError(f"{ROOT} cannot be written: {error.strerror}; clone it to a writable folder") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            _report("another set-up runs in this folder; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _received_bytes() -> int:
    """Bytes that this machine has received over its network without loopback; 0 where Linux does not count them."""
    try:
        lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    except OSError:
        return 0
    rows = (line.partition(":") for line in lines)
    return sum(int(figures.split()[0]) for name, _, figures in rows if name.strip() != "lo")


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _report(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
