"""The set-up as `make` runs it, on locks of small packages that the test makes; no network is used."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local.setup import interpreters
from local.setup.environments import ROOT, UV, SetupError

PACKAGE = "duckdb"
"""The package of the locks; the index has a newer release of it than the pinned one."""


class Checkout:
    """A folder with the set-up's code and locks that pin `PACKAGE` at 2.0.0, beside an index that also has 2.0.1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a checkout with blanks"
        self.home = folder / "home"
        self.index = folder / "index"
        self.home.mkdir()
        self.index.mkdir()
        shutil.copytree(ROOT / "local" / "setup", self.folder / "local" / "setup")
        (self.folder / "local" / "__init__.py").touch()
        jars = "import pathlib; pathlib.Path('.jars').mkdir(exist_ok=True)\n"
        for name, content in {
            "java/jars.py": jars,
            "java/jars.toml": "",
            "java/jvm.py": "",
            "stack/class_archives.py": "",
        }.items():
            (self.folder / "local" / name).parent.mkdir(exist_ok=True)
            (self.folder / "local" / name).write_text(content)
        # uv itself is linked, as it would be downloaded.
        (self.folder / UV.folder).symlink_to(UV.path)
        for version in ("2.0.0", "2.0.1"):
            wheel(self.index, version)
        self.pin("2.0.0")

    def pin(self, version: str) -> None:
        """Write every lock with `version`."""
        digest = hashlib.sha256((self.index / f"{PACKAGE}-{version}-py3-none-any.whl").read_bytes()).hexdigest()
        for name in (
            "local/requirements.txt",
            "local/backing/bigquery/requirements.txt",
            "flink/candles/requirements.txt",
        ):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(f"{PACKAGE}=={version} --hash=sha256:{digest}\n")

    def start(self, command: str = "install", **variables: str) -> subprocess.Popen[str]:
        """Start a command of the set-up."""
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.home), "UV_CACHE_DIR": str(self.home / "cache")}
        where = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index)}
        return subprocess.Popen(
            [sys.executable, "-m", "local.setup", command],
            cwd=self.folder,
            env={**environ, **where, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, **variables: str) -> tuple[int, str]:
        """The exit code of the set-up and its error output."""
        process = self.start(**variables)
        output = process.communicate(timeout=120)[1]
        return process.returncode, output

    def installed(self, environment: str) -> str:
        """The version of `PACKAGE` in an environment, as the package's own program prints it."""
        command = str(self.folder / environment / "bin" / "version-of-it")
        return subprocess.run([command], capture_output=True, text=True, check=True).stdout.strip()


def wheel(folder: Path, version: str) -> None:
    """Write a wheel of `PACKAGE` with one module and one program."""
    info = f"{PACKAGE}-{version}.dist-info"
    files = {
        f"{PACKAGE}.py": f"def main():\n    print('{version}')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\nversion-of-it = {PACKAGE}:main\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(text.encode())}\n"
        for name, text in files.items()
    )
    with zipfile.ZipFile(folder / f"{PACKAGE}-{version}-py3-none-any.whl", "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_a_pin_holds_under_any_settings_of_the_folder_and_of_the_user(checkout: Checkout) -> None:
    override = f'override-dependencies = ["{PACKAGE}>=2,<3"]\n'
    (checkout.folder / "pyproject.toml").write_text(f'[project]\nname = "x"\nversion = "1"\n[tool.uv]\n{override}')
    (checkout.home / ".config" / "uv").mkdir(parents=True)
    (checkout.home / ".config" / "uv" / "uv.toml").write_text(override)
    (checkout.home / "newer.txt").write_text(f"{PACKAGE}==2.0.1\n")
    (checkout.home / ".config" / "pip").mkdir()
    (checkout.home / ".config" / "pip" / "pip.conf").write_text("[install]\nuser = true\n")
    newer = str(checkout.home / "newer.txt")
    code, output = checkout.run(UV_OVERRIDE=newer, UV_CONSTRAINT=newer, PIP_CONSTRAINT=newer, PIP_TARGET="/nonexistent")
    assert (code, output.splitlines()[-1].startswith("set-up is complete after ")) == (0, True), output
    assert [checkout.installed(name) for name in (".venv", ".venv-bigquery", ".venv-flink")] == ["2.0.0"] * 3

    # The same settings do replace pins: uv without this set-up follows them, and then has no hash of the version.
    environ = {"PATH": os.environ["PATH"], "HOME": str(checkout.home), "UV_CACHE_DIR": str(checkout.home / "cache")}
    alone = subprocess.run(
        [
            *(str(UV.path / "bin" / "uv"), "pip", "install", "--require-hashes", "--no-deps", "--no-index"),
            "--reinstall",
            *("--find-links", str(checkout.index), "--python", ".venv/bin/python", "-r", "local/requirements.txt"),
        ],
        cwd=checkout.folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert alone.returncode != 0
    assert "no hashes were provided" in alone.stderr.replace("\n", " ")


def test_a_complete_set_up_prints_nothing_and_a_new_pin_is_installed(checkout: Checkout) -> None:
    assert checkout.run()[0] == 0
    assert checkout.run() == (0, "")
    checkout.pin("2.0.1")
    assert checkout.run()[0] == 0
    assert checkout.installed(".venv") == "2.0.1"


def test_a_moved_folder_works_at_once(checkout: Checkout) -> None:
    assert checkout.run()[0] == 0
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))
    assert checkout.installed(".venv") == "2.0.0"
    path = subprocess.run(
        [str(checkout.folder / ".venv" / "bin" / "python"), "-P", "-c", "import local; print(local.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    ).stdout.strip()
    assert Path(path).resolve() == checkout.folder / "local" / "__init__.py"
    # Only Java's archives depend on the location of the folder.
    code, output = checkout.run()
    assert (code, [line.partition(":")[0] for line in output.splitlines()[:-1]]) == (0, ["set-up 5/5"] * 2)
    assert checkout.run() == (0, "")


def test_an_interrupted_set_up_is_completed(checkout: Checkout) -> None:
    assert checkout.run()[0] == 0
    (checkout.folder / ".venv" / ".whole").unlink()
    (checkout.folder / ".venv" / "bin" / "python").unlink()
    shutil.rmtree(checkout.folder / ".venv-flink" / "bin")
    code, output = checkout.run()
    assert (code, "2/5" in output, checkout.installed(".venv"), checkout.installed(".venv-flink")) == (
        *(0, False),
        *("2.0.0", "2.0.0"),
    )


def test_an_earlier_lock_that_comes_back_after_a_failure_is_installed_again(checkout: Checkout) -> None:
    assert checkout.run()[0] == 0
    lock = checkout.folder / "local" / "requirements.txt"
    earlier = lock.read_text()
    lock.write_text(f"{PACKAGE}==2.0.1 --hash=sha256:{'0' * 64}\n")
    code, output = checkout.run()
    assert (code, "error: installing local/requirements.txt into .venv failed" in output) == (1, True), output
    lock.write_text(earlier)
    code, output = checkout.run()
    assert (code, output.startswith("set-up 1/5"), checkout.installed(".venv")) == (0, True, "2.0.0"), output


def test_two_at_once_install_once(checkout: Checkout) -> None:
    with (checkout.folder / ".setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = checkout.start()
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == "another set-up runs in this folder; waiting for it\n"
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert waiting.communicate(timeout=120)[1].startswith("set-up 1/5")
    assert (waiting.returncode, checkout.installed(".venv")) == (0, "2.0.0")


def test_a_home_that_cannot_be_written_is_left_alone(checkout: Checkout) -> None:
    code, output = checkout.run(HOME="/dev/null", UV_CACHE_DIR="")
    assert (code, checkout.installed(".venv")) == (0, "2.0.0"), output
    assert (checkout.folder / ".uv_cache").is_dir()


def examined(checkout: Checkout, **variables: str) -> tuple[int, dict[str, str]]:
    """The exit code of `make doctor`, and its result for each target."""
    process = checkout.start("doctor", **variables)
    lines = process.communicate(timeout=120)[0].partition("\n\n")[2].splitlines()
    return process.returncode, {line[2:22].strip(): line[22:].strip() for line in lines}


def test_the_doctor_lists_which_targets_can_run(checkout: Checkout, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("git", "make"):
        (tools / name).symlink_to(shutil.which(name) or "")
    _, targets = examined(checkout, PATH=str(tools))
    assert targets["make setup"] == "can run"
    assert targets["make test-browser"] == "needs chromium"
    assert targets["make test-airflow"] == "needs chromium"
    assert targets["events"] == "needs Pub/Sub emulator"
    (tools / "git").unlink()
    code, targets = examined(checkout, PATH=str(tools), PYTHON313="/bin/true", CHROMIUM="/bin/true")
    assert (code, targets["make setup"]) == (1, "needs Python 3.13, git")
    assert targets["make test-browser"] == "needs Python 3.13, git"


def test_a_wrong_interpreter_is_one_line(checkout: Checkout) -> None:
    code, output = checkout.run(PYTHON313="/bin/true")
    assert code == 1
    assert output.splitlines()[-1] == "error: PYTHON313 must name a CPython 3.13, got /bin/true (not CPython)"


def test_a_failed_download_of_an_interpreter_is_one_line_with_both_remedies(tmp_path: Path) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_INSTALL_MIRROR": "http://127.0.0.1:9",
        "UV_HTTP_RETRIES": "0",
    }
    with pytest.raises(SetupError) as caught:
        interpreters.fetch("3.13", UV.path / "bin" / "uv", environ)
    output = str(caught.value)
    assert output.count("\n") == 0
    assert output.startswith("Python 3.13 is needed, is not on this machine, and could not be downloaded (")
    assert "make setup PYTHON313=/path/to/python3.13" in output
    assert "UV_PYTHON_INSTALL_MIRROR=URL make setup" in output


def test_an_interpreter_is_found_beside_another_version_on_the_path(tmp_path: Path) -> None:
    """Pyenv's layout, without its shims and without a home: VERSIONS/3.12.1/bin is on PATH, VERSIONS/3.11.7 is not."""
    wanted = f"{sys.version_info[0]}.{sys.version_info[1]}"
    (tmp_path / "3.98.0" / "bin").mkdir(parents=True)
    installed = tmp_path / f"{wanted}.99" / "bin" / f"python{wanted}"
    installed.parent.mkdir(parents=True)
    installed.symlink_to(sys.executable)
    found = list(interpreters.candidates(wanted, {"PATH": str(tmp_path / "3.98.0" / "bin")}))
    assert installed in found
    assert interpreters.find("3.99", {"PATH": str(tmp_path)}) is None
