"""Runs pip and uv so that they install exactly the packages of a lock.

The user's settings of pip and uv decide from where packages are downloaded (index, mirror, proxy, certificates), not
which: with the user's constraints, overrides, target folder or resolution mode other versions than the tested ones
would be installed, so those settings are not passed on. Imported by `local.setup` only.
"""

from __future__ import annotations

import ast
import os
import re
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.setup.environments import SetupError

_PIP_SOURCES = (
    *("index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "proxy", "cert", "client-cert"),
    *("timeout", "retries", "keyring-provider"),
)
"""The settings of pip that decide from where and how it downloads, not what it installs."""

_UV_SOURCES = re.compile(
    "UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|INSECURE_HOST|OFFLINE|INDEX_.*_(USERNAME|"
    "PASSWORD)|KEYRING_PROVIDER|NATIVE_TLS|SYSTEM_CERTS|HTTP_.*|CONCURRENT_.*|CACHE_DIR|LINK_MODE|PYTHON_INSTALL_DIR|"
    "PYTHON_INSTALL_MIRROR|PYTHON_DOWNLOADS|PYTHON_DOWNLOADS_JSON_URL|PYTHON_CACHE_DIR)"
)
"""The variables of uv that decide from where and how it downloads, not what it installs."""

_OTHERS = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__")
"""Variables that lead an interpreter or an installer to another environment."""


_AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")
"""Files in which distributions keep the certificate authorities that a machine trusts."""


def pip_sources(python: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The user's settings of pip in `_PIP_SOURCES`, value by name; a list is separated by blanks."""
    outcome = subprocess.run(
        [str(python), "-m", "pip", "--disable-pip-version-check", "config", "list"],
        env=_plain(environ),
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, tuple[int, str]] = {}
    for line in outcome.stdout.splitlines():
        match = re.fullmatch(r"([^=]+)\.([^.=]+)=('.*'|\".*\")", line)
        if match is None or match[2] not in _PIP_SOURCES or match[1] not in ("global", "install", ":env:"):
            continue
        # A command's own section overrides the global one, and the environment overrides both.
        rank = ("global", "install", ":env:").index(match[1])
        if rank >= found.get(match[2], (-1, ""))[0]:
            found[match[2]] = (rank, " ".join(str(ast.literal_eval(match[3])).split()))
    return {name: value for name, (_, value) in found.items()}


def pip_environ(environ: Mapping[str, str], sources: Mapping[str, str]) -> dict[str, str]:
    """The environment variables for pip: the user's, with `sources` as pip's only settings."""
    kept = {name: value for name, value in _plain(environ).items() if not name.startswith(("PIP_", "UV_"))}
    settings = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in sources.items()}
    return {**kept, **settings, "PIP_CONFIG_FILE": os.devnull}


def uv_environ(environ: Mapping[str, str], sources: Mapping[str, str], cache: Path) -> dict[str, str]:
    """The environment variables for uv, which downloads from pip's `sources` unless uv's own variables name others.

    `cache`: a folder for uv's cache, which is used where the user's own cannot be written.
    """
    kept = {
        name: value
        for name, value in _plain(environ).items()
        if not name.startswith(("UV_", "PIP_")) or _UV_SOURCES.fullmatch(name)
    }
    links = [link for link in sources.get("find-links", "").split() if "://" in link or Path(link).exists()]
    translated = {
        "UV_DEFAULT_INDEX": sources.get("index-url", ""),
        "UV_INDEX": sources.get("extra-index-url", ""),
        "UV_FIND_LINKS": ",".join(links),
        "UV_NO_INDEX": "1" if sources.get("no-index", "") in ("1", "true", "True", "yes") else "",
        "UV_INSECURE_HOST": sources.get("trusted-host", ""),
        "UV_HTTP_TIMEOUT": sources.get("timeout", ""),
        "SSL_CERT_FILE": sources.get("cert", ""),
        # For requests, with which jgo downloads the Java archives; its own bundle lacks the machine's authorities.
        "REQUESTS_CA_BUNDLE": sources.get("cert", "") or kept.get("SSL_CERT_FILE", "") or _system_authorities(),
        "SSL_CLIENT_CERT": sources.get("client-cert", ""),
        "HTTPS_PROXY": sources.get("proxy", ""),
    }
    if "UV_INDEX_URL" in kept or "UV_EXTRA_INDEX_URL" in kept:
        translated.update(UV_DEFAULT_INDEX="", UV_INDEX="")
    for name, value in translated.items():
        if value:
            kept.setdefault(name, value)
    users = kept.get("UV_CACHE_DIR") or _user_cache(kept)
    if not users or not _writable(Path(users)):
        kept["UV_CACHE_DIR"] = str(cache)
    return {**kept, "UV_NO_CONFIG": "1"}


def run(command: Sequence[str], environ: Mapping[str, str], what: str, *, shown: bool) -> None:
    """Run an installer. Raises SetupError with the end of its output. `shown`: its output goes to the terminal."""
    outcome = subprocess.run(
        list(command),
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=None if shown else subprocess.PIPE,
        stderr=None if shown else subprocess.STDOUT,
        text=True,
        check=False,
    )
    if outcome.returncode:
        output = "" if shown else "\n" + "\n".join(outcome.stdout.strip().splitlines()[-12:])
        raise SetupError(f"{what} failed with exit code {outcome.returncode}{output}")


def sync(uv: Path, python: Path, lock: Path, build_lock: Path, *, quiet: bool) -> list[str]:
    """The command after which an environment has exactly the packages of a lock, byte-compiled.

    `build_lock`: the lock of the packages that may build packages without a wheel.
    """
    return [
        *(str(uv), "pip", "sync", *(("--quiet",) if quiet else ())),
        *("--require-hashes", "--compile-bytecode", "--python", str(python)),
        *("--build-constraints", str(build_lock), "--require-build-hashes", str(lock)),
        *("--preview-features", "build-dependency-hashes"),  # uv calls the last but one option experimental
    ]


def _system_authorities() -> str:
    return ssl.get_default_verify_paths().cafile or next(filter(os.path.exists, _AUTHORITIES), "")


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in _OTHERS}


def _user_cache(environ: Mapping[str, str]) -> str:
    home = environ.get("HOME")
    folder = environ.get("XDG_CACHE_HOME") or (str(Path(home, ".cache")) if home else "")
    return str(Path(folder, "uv")) if folder else ""


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True
