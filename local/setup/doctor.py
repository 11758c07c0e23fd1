"""The check of this machine: what it has, what is missing, and which targets of the Makefile can run.

Imported by `local.setup` only. It changes and installs nothing.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.setup import install, interpreters
from local.setup.environments import BIGQUERY, ROOT, UV, WHOLE, SetupError

STACK_MIB = 4096
"""Memory of a whole stack while a batch runs."""
ROOM_MIB = 512
"""Disk that a stack fills in its first minutes, with some reserve."""


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    `for_`: the targets that need it. `fault`: what is wrong and what to do, empty where it is fit.
    """

    what: str
    found: str
    fault: str = ""
    for_: tuple[str, ...] = ()


SETUP = ("setup", "demo", "unit", "test", "test-airflow", "test-browser", "test-containers", "bench")
STACK = ("demo", "test", "test-airflow", "test-browser", "test-containers", "bench")


def examine(environ: Mapping[str, str]) -> bool:
    """Print what this machine has and which targets can run; True when set-up, demo and tests can."""
    findings = [
        *_system(),
        *(_interpreter(version, environ) for version in ("3.11", "3.13")),
        *_programs(environ),
        *_resources(environ),
        *_environments(),
    ]
    for finding in findings:
        _print(f"  {'ok ' if not finding.fault else '-- '} {finding.what:26} {finding.found}")
        if finding.fault:
            _print(f"      {finding.fault}")
    _print("")
    targets = [*SETUP, "bench-live's peer", "events"]
    missing = {target: [item.what for item in findings if item.fault and target in item.for_] for target in targets}
    for target, things in missing.items():
        name = f"make {target}" if target in SETUP else target
        _print(f"  {name:20} {'can run' if not things else 'needs ' + ', '.join(things)}")
    return not any(missing[target] for target in ("setup", "demo", "unit", "test"))


def _system() -> list[Finding]:
    libc = "".join(platform.libc_ver()[:1]) or "no glibc"
    is_ours = sys.platform == "linux" and platform.machine() == "x86_64" and libc == "glibc"
    fault = "" if is_ours else "the stand-ins' programs are built for Linux with glibc on x86_64"
    version = ".".join(map(str, sys.version_info[:3]))
    has_venv = importlib.util.find_spec("venv") is not None and importlib.util.find_spec("ensurepip") is not None
    no_venv = "it has no module venv; Debian and Ubuntu: apt-get install python3-venv; or PYTHON=/path/to/python3"
    uv_is_there = UV.python.exists()
    return [
        Finding("system", f"{_distribution()}, {platform.machine()}, {libc}", fault, SETUP),
        Finding(
            "python3 with venv",
            f"{version} ({sys.executable})",
            "" if has_venv or uv_is_there else no_venv,
            SETUP,
        ),
    ]


def _interpreter(version: str, environ: Mapping[str, str]) -> Finding:
    name = f"Python {version}"
    try:
        found = interpreters.find(version, environ)
    except SetupError as error:
        return Finding(name, "its variable names a wrong one", str(error), SETUP)
    used = [folder for folder in (".venv", BIGQUERY.folder) if (ROOT / folder / "bin" / f"python{version}").exists()]
    if found is not None:
        return Finding(name, str(found), "", SETUP)
    if used:
        return Finding(name, f"in {used[0]}", "", SETUP)
    hint = f"install one, or give its path ({interpreters.variable(version)}=/path/to/python{version})"
    return Finding(name, f"not found; uv fetches one where its builds can be reached, else {hint}")


def _programs(environ: Mapping[str, str]) -> list[Finding]:
    path = environ.get("PATH")
    chromium = environ.get("CHROMIUM") or shutil.which("chromium", path=path)
    gcloud = shutil.which("gcloud", path=path)
    jars = Path(gcloud).resolve().parents[1] / "platform" / "pubsub-emulator" / "lib" if gcloud else None
    has_emulator = jars is not None and any(jars.glob("cloud-pubsub-emulator-*-all.jar"))
    compiler = shutil.which("cc", path=path)
    docker = shutil.which("docker", path=path)
    return [
        *(
            Finding(name, shutil.which(name, path=path) or "not found", _absent(name, path), SETUP)
            for name in ("git", "make")
        ),
        Finding(
            "chromium",
            chromium or "not found",
            "" if chromium else "Debian: apt-get install chromium; elsewhere CHROMIUM=/path/to/it",
            ("test-airflow", "test-browser"),
        ),
        Finding(
            "docker",
            docker or "not found",
            "" if docker else "Debian: apt-get install docker.io iptables; needed by containers alone",
            ("test-containers",),
        ),
        Finding(
            "C compiler",
            compiler or "not found",
            "" if compiler else "without it the benchmark compares with a plain loop only",
            ("bench-live's peer",),
        ),
        Finding(
            "Pub/Sub emulator",
            str(jars) if has_emulator else "not found",
            "" if has_emulator else "gcloud components install pubsub-emulator; without it events are off",
            ("events",),
        ),
    ]


def _absent(name: str, path: str | None) -> str:
    return "" if shutil.which(name, path=path) else f"install {name}"


def _resources(environ: Mapping[str, str]) -> list[Finding]:
    memory = _available_mib()
    home = Path(environ.get("PIPELINE_HOME") or ROOT / ".pipeline")
    nearest = next(folder for folder in (home, *home.absolute().parents) if folder.exists())
    room = shutil.disk_usage(nearest).free >> 20
    needed = sum(step.mib for step in WHOLE if not step.path.exists()) * 3 // 2
    free = shutil.disk_usage(ROOT).free >> 20
    return [
        Finding("cores", str(os.cpu_count())),
        Finding(
            "memory",
            f"{memory} MiB available",
            "" if memory >= STACK_MIB else f"a stack needs {STACK_MIB} MiB",
            STACK,
        ),
        Finding(
            "disk for the set-up",
            f"{free} MiB free",
            "" if free >= needed else f"the environments that are not installed yet need {needed} MiB",
            SETUP,
        ),
        Finding(
            "disk for a stack",
            f"{room} MiB free below {nearest}",
            "" if room >= ROOM_MIB else f"a stack needs {ROOM_MIB} MiB; or choose another PIPELINE_HOME",
            STACK,
        ),
        Finding(
            "folder", str(ROOT), "" if os.access(ROOT, os.W_OK) else "it cannot be written; clone it elsewhere", SETUP
        ),
        _loopback(),
    ]


def _loopback() -> Finding:
    name = "ports on 127.0.0.1"
    try:
        with socket.create_server(("127.0.0.1", 0)):
            return Finding(name, "can be opened", "", STACK)
    except OSError as error:
        return Finding(name, "cannot be opened", f"{error.strerror}: the stack listens there only", STACK)


def _environments() -> list[Finding]:
    return [Finding(step.folder, f"{step.holds}: {install.state(step)}") for step in WHOLE]


def _available_mib() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) >> 10
    return 0


def _distribution() -> str:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return platform.system()
    names = [line.partition("=")[2].strip('"') for line in lines if line.startswith("PRETTY_NAME=")]
    return names[0] if names else platform.system()


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
