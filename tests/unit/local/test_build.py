"""What each artifact holds, that the same sources give the same bytes, and that a build replaces the one before it."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import io
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from local import build
from local.checkout import ROOT


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkout with one deployable of each kind."""
    files = {
        "src/bitcoin_pipeline/__init__.py": "",
        "src/bitcoin_pipeline/schemas/market/candles.sql": "SELECT 1",
        "functions/fetch/main.py": "import fetch",
        "functions/fetch/fetch/__init__.py": "",
        "functions/fetch/requirements.txt": "requests==2 --hash=sha256:00",
        "local/Dockerfile": "FROM python",
        "local/Dockerfile.slim": "strip",
        "cloudrun/page/main.py": "import page",
        "cloudrun/page/page/assets/style.css": "body {}",
        "flink/candles/main.py": "import stream",
        "flink/candles/candles.sql": "SELECT 2",
        "dataproc_jobs/candles/main.py": "import batch",
        "dataproc_jobs/candles/batch/__init__.py": "",
        "dataproc_jobs/candles/batch/read.py": "x = 1",
        "dataproc_jobs/candles/requirements.txt": "pyarrow==1",
        "composer_dags/daily.py": "import daily_tasks",
        "composer_dags/daily_tasks/__init__.py": "",
        "composer_dags/.airflowignore": "daily_tasks/",
        "composer_dags/requirements.txt": "apache-airflow==3",
        ".jars/flink/connector.jar": "jar",
        ".flink-packages/orjson/__init__.py": "packed",
        ".flink-packages/.whole": "stamp",
        "functions/fetch/fetch/__pycache__/x.pyc": "compiled",
        "functions/fetch/.mypy_cache/x": "types",
        "functions/not_one/README.md": "without main.py",
    }
    for name, content in files.items():
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.setattr(build, "ROOT", tmp_path / "checkout")
    return tmp_path / "checkout"


def files_in(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_every_deployable_is_built_with_the_core_inside(checkout: Path, tmp_path: Path) -> None:
    build.build(tmp_path / "out")
    batch = tmp_path / "out" / "dataproc_jobs" / "candles"
    names = {path.name: sorted(zipfile.ZipFile(path).namelist()) for path in batch.glob("*.zip")}
    core = {"__init__.py": "", "schemas/market/candles.sql": "SELECT 1"}
    in_folder = {f"bitcoin_pipeline/{name}": content for name, content in core.items()}
    carried = names.pop("isal.zip")
    assert "isal/isal_zlib.cpython-311-x86_64-linux-gnu.so" in carried
    assert [path for path in carried if not path.startswith("isal/")] == ["isal-1.9.1.dist-info/licenses/LICENSE"]
    assert [path for path in carried if "pycache" in path] == []
    assert names == {
        "batch.zip": ["batch/__init__.py", "batch/read.py"],
        "bitcoin_pipeline.zip": [f"bitcoin_pipeline/{name}" for name in core],
    }
    assert (batch / "main.py").read_text() == "import batch"
    assert sorted(path.name for path in batch.iterdir()) == [
        *("batch.zip", "bitcoin_pipeline.zip", "isal.zip", "main.py")
    ]
    shutil.rmtree(batch)
    image = {"Dockerfile.slim": "strip", "Dockerfile.dockerignore": "**/__pycache__\n"}
    expected = {
        "functions/fetch/": {
            **image,
            "Dockerfile": "ARG KIND=functions\nARG NAME=fetch\nFROM python",
            "main.py": "import fetch",
            "fetch/__init__.py": "",
            "requirements.txt": "requests==2 --hash=sha256:00",
        },
        "cloudrun/page/": {
            **image,
            "Dockerfile": "ARG KIND=cloudrun\nARG NAME=page\nFROM python",
            "main.py": "import page",
            "page/assets/style.css": "body {}",
        },
        "flink/candles/": {"main.py": "import stream", "candles.sql": "SELECT 2"},
        "composer_dags/": {
            "daily.py": "import daily_tasks",
            "daily_tasks/__init__.py": "",
            ".airflowignore": "daily_tasks/",
        },
    }
    assert files_in(tmp_path / "out") == {
        f"{folder}{name}": content for folder, own in expected.items() for name, content in {**own, **in_folder}.items()
    }


def test_the_same_sources_give_the_same_bytes(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build.zip_of(build.artifact("functions/fetch"))
    copy = tmp_path / "elsewhere"
    shutil.copytree(checkout, copy, copy_function=shutil.copyfile)
    for path in sorted(copy.rglob("*"), reverse=True):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o755)
    monkeypatch.setattr(build, "ROOT", copy)
    assert build.zip_of(build.artifact("functions/fetch")) == first
    (copy / "functions" / "fetch" / "main.py").write_text("import fetch # changed")
    assert build.zip_of(build.artifact("functions/fetch")) != first


def test_a_build_replaces_the_one_before_and_leaves_what_is_right(checkout: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build.build(out)
    kept, changed = out / "cloudrun/page/main.py", out / "flink/candles/candles.sql"
    os.utime(kept, ns=(5, 5))
    (out / "cloudrun/page/page/gone.py").write_text("of an earlier version")
    changed.write_text("altered by hand")
    build.build(out)
    assert kept.stat().st_mtime_ns == 5
    assert changed.read_text() == "SELECT 2"
    assert not (out / "cloudrun/page/page/gone.py").exists()


def test_make_build_fills_dist(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout / name)
    (checkout / "local" / "command").mkdir(parents=True)
    for name in ("__init__.py", "checkout.py", "environment.py", "command/__main__.py", "command/requirements.txt"):
        shutil.copy(ROOT / "local" / name, checkout / "local" / name)
    (checkout / "dist").mkdir()
    (checkout / "dist" / "old.zip").touch()
    build.main()
    dist = checkout / "dist"
    assert sorted(path.name for path in dist.rglob("*.zip")) == [
        *("batch.zip", "bitcoin_pipeline.zip", "candles.zip", "fetch.zip", "isal.zip")
    ]
    assert zipfile.ZipFile(dist / "flink" / "candles.zip").read("jars/connector.jar") == b"jar"
    carried = {name for name in zipfile.ZipFile(dist / "flink" / "candles.zip").namelist() if "packages/" in name}
    assert carried == {"packages/orjson/__init__.py"}
    # Google builds the image of a function from its source, in which a Dockerfile could stand for something else.
    assert not [name for name in zipfile.ZipFile(dist / "functions" / "fetch.zip").namelist() if "Dockerfile" in name]
    command = dist / "cloudrun" / "command"
    assert {
        "main.py",
        "requirements.txt",
        "Dockerfile",
        "local/command/__main__.py",
        "bitcoin_pipeline/__init__.py",
    } <= {path.relative_to(command).as_posix() for path in command.rglob("*")}
    wheels = [path.name for path in dist.glob("*.whl")]
    assert wheels == ["bitcoin_pipeline-0.1.0-py3-none-any.whl"]
    sums = dict(line.split("  ")[::-1] for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert len(sums) == sum(path.is_file() for path in dist.rglob("*")) - 1
    assert sums["functions/fetch.zip"] == hashlib.sha256((dist / "functions" / "fetch.zip").read_bytes()).hexdigest()
    assert "dist/functions/fetch.zip" in capsys.readouterr().out


def test_the_wheel_has_the_same_bytes_each_time_and_depends_on_nothing(tmp_path: Path) -> None:
    wheels = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        wheels.append(build.build_wheel(tmp_path / name).read_bytes())
    assert wheels[0] == wheels[1]
    archive = zipfile.ZipFile(io.BytesIO(wheels[0]))
    [metadata] = [name for name in archive.namelist() if name.endswith("METADATA")]
    needs = [line for line in archive.read(metadata).decode().splitlines() if line.startswith("Requires-Dist")]
    assert needs
    assert [line for line in needs if "extra ==" not in line] == []


def test_missing_jars_are_reported(checkout: Path) -> None:
    shutil.rmtree(checkout / ".jars")
    with pytest.raises(FileNotFoundError, match="make setup"):
        build.main()


def test_missing_packages_of_the_machine_are_reported(checkout: Path) -> None:
    shutil.rmtree(checkout / ".flink-packages")
    with pytest.raises(FileNotFoundError, match=r"local\.setup machine-packages"):
        build.main()


def test_images_are_built_on_pinned_images_and_run_as_a_user_without_rights() -> None:
    stages = (ROOT / "local" / "Dockerfile").read_text().split("\nFROM ")
    arguments = dict(re.findall(r"^ARG (\w+)=(.*)$", stages[0], re.MULTILINE))
    assert [stage.partition("\n")[0] for stage in stages[1:]] == [
        *("${BUILDER} AS packages", "packages AS program", "${RUNTIME} AS image"),
        *("image AS cloudrun", "image AS functions", "${KIND}"),
    ]
    assert sorted(arguments) == ["BUILDER", "RUNTIME"]
    assert all(re.fullmatch(r"[^@]+:[^@]+@sha256:[0-9a-f]{64}", image) for image in arguments.values())
    image, *kinds, last = stages[3:]
    assert last == "${KIND}\n"
    assert "\nUSER 65532:65532\n" in image
    assert [kind.count("\nHEALTHCHECK ") for kind in kinds] == [1 for _ in build.IMAGES]
    assert "RUN " not in "".join((image, *kinds))


FUNCTIONS = [name for name in build.deployables() if name.startswith("functions/")]


def pinned(requirements: str) -> dict[str, Requirement]:
    """The requirements of a lock that apply here, by the name of the package."""
    lines = re.sub(r"^\s*#.*$", "", requirements, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    found = [Requirement(line.partition("--hash")[0]) for line in lines if line.strip()]
    return {canonicalize_name(each.name): each for each in found if each.marker is None or each.marker.evaluate()}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_what_googles_builder_accepts(name: str) -> None:
    """Source: pkg/python and cmd/python/functions_framework of GoogleCloudPlatform/buildpacks."""
    files = build.artifact(name)
    # A pyproject.toml, or a Pipfile, would choose another way of installation.
    at_the_root = {path for path in files if "/" not in path}
    assert at_the_root == {"main.py", "requirements.txt"}
    # The core is a package beside main.py: a hash cannot be given for a path in requirements.txt.
    assert f"{build.CORE}/__init__.py" in files
    functions = [node.name for node in ast.parse(files["main.py"]).body if isinstance(node, ast.FunctionDef)]
    assert functions == [name.partition("/")[2]]
    # The builder installs a framework of its own choice, without hashes, unless it finds this line.
    requirements = files["requirements.txt"].decode()
    assert re.search(r"(?m)^functions-framework\b([^-]|$)", requirements)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_functions_hashed_requirements_are_complete(name: str) -> None:
    """With hashes pip refuses every package that is not pinned, and the builder ends with `pip check`."""
    pins = pinned(build.artifact(name)["requirements.txt"].decode())
    faults = []
    for package, pin in pins.items():
        distribution = importlib.metadata.distribution(package)
        assert pin.specifier.contains(distribution.version, prereleases=True)
        for need in map(Requirement, distribution.requires or ()):
            if need.marker and not any(need.marker.evaluate({"extra": extra}) for extra in ("", *pin.extras)):
                continue
            found = pins.get(canonicalize_name(need.name))
            version = importlib.metadata.version(need.name) if found else ""
            if found is None or not need.specifier.contains(version, prereleases=True):
                faults.append(f"{package} needs {need}")
    assert faults == []
