"""The house rules: who imports whom, a core without I/O, the folders, and what no committed file may say.

Each rule is a pure function from a file to its faults. It is held to the whole tree, and to small bad examples that
show it can fail.
"""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pytest

from local.setup.environments import LOCKS

ROOT: Final = Path(__file__).resolve().parents[2]

FOLDERS: Final = {
    *("src", "functions", "cloudrun", "composer_dags", "dataproc_jobs", "flink", "terraform"),
    *("local", "tests"),
}
"""The only folders at the top, beside those whose name begins with a dot."""

CORE: Final = "bitcoin_pipeline"
DEPLOYABLE_KINDS: Final = ("functions", "cloudrun", "dataproc_jobs", "flink")
"""Each folder in these is one deployable; `composer_dags` is one as a whole."""

PURE_LIBRARY: Final = {
    *("__future__", "collections", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "hashlib"),
    *("itertools", "json", "math", "operator", "re", "string", "struct", "typing", "urllib.parse", "uuid"),
    "zlib",
}
"""What of the standard library the core may import: nothing that can reach a clock, a file, a network or chance."""

IMPURE_BUILT_INS: Final = {"open", "input", "print", "eval", "exec", "compile", "breakpoint", "__import__"}
IMPURE_ATTRIBUTES: Final = {"now", "today", "utcnow", "uuid1", "uuid4", "read_text", "read_bytes"}
"""Reading a clock, chance or a file; `datetime.now` is the way that a pure module would do it."""

SCHEMAS: Final = PurePosixPath("src", CORE, "schemas", "__init__.py")
"""The one module of the core that reads files: its own, from the package."""

ADAPTERS: Final = PurePosixPath("src", CORE, "adapters")
LIBRARIES: Final = {
    "__init__": (),
    "arrow": ("pyarrow",),
    "bigquery": ("google", "requests"),  # requests is its transport
    "bybit_http": ("requests", "urllib3"),  # urllib3 is its transport
    "kafka": ("confluent_kafka",),
    "stdout": (),
}
"""What each file of the adapters wraps: the names of one third-party library, and of what that brings."""

WHOLE: Final = {
    PurePosixPath("tests/unit/test_architecture.py"): "the rules of the repository",
    PurePosixPath("tests/unit/bitcoin_pipeline/test_real_day.py"): "a real file through the core as a whole",
}
"""The unit tests of more than one module, and what they are of."""

SOURCE_SUFFIX: Final = {".py": ".py", ".mjs": ".js"}
"""The suffix of a unit test and that of the module that it tests."""


# What a file is.


def part_of(path: PurePosixPath) -> PurePosixPath:
    """The part of the house that a file belongs to: a deployable, or its folder at the top."""
    return PurePosixPath(*path.parts[: 2 if path.parts[0] in DEPLOYABLE_KINDS and len(path.parts) > 2 else 1])


def is_deployable(part: PurePosixPath) -> bool:
    return part.parts[0] in (*DEPLOYABLE_KINDS, "composer_dags")


def modules_of(paths: list[PurePosixPath]) -> dict[PurePosixPath, set[str]]:
    """The module names that each deployable's own files go by, seen from inside it."""
    modules: dict[PurePosixPath, set[str]] = {}
    for path in paths:
        part = part_of(path)
        if is_deployable(part) and path.suffix == ".py":
            modules.setdefault(part, set()).add(path.parts[len(part.parts)].removesuffix(".py"))
    return modules


# The rules.


@functools.cache
def tree_of(source: str) -> ast.Module:
    """The syntax tree of a source, which several rules look at."""
    return ast.parse(source)


def imports_of(source: str) -> Iterator[str]:
    """Every module that the source imports anywhere in it, in full; a relative one begins with a dot."""
    for node in ast.walk(tree_of(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("__import__", "import_module")):
            yield ast.unparse(node.args[0]).strip("'\"") if node.args else ""


def library_of(path: PurePosixPath) -> tuple[str, ...]:
    """The names of the library that an adapter wraps; of any other file, none."""
    return LIBRARIES.get(path.stem, ()) if path.parent == ADAPTERS else ()


def adapters_of(source: str) -> set[str]:
    """The adapters that the source imports; `__init__` when it imports their package alone."""
    names = set(imports_of(source))
    for node in ast.walk(tree_of(source)):
        if isinstance(node, ast.ImportFrom):  # `from a import b` may import the module a.b
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    package = f"{CORE}.{ADAPTERS.name}"
    found = {name.split(".")[2] for name in names if name.startswith(f"{package}.")}
    return found or ({"__init__"} if package in names else set())


def import_faults(path: PurePosixPath, source: str, modules: Mapping[PurePosixPath, set[str]]) -> list[str]:
    """Imports that the design's table does not allow to this file."""
    part = part_of(path)
    if part.name == "tests":
        return []
    allowed = {CORE} | ({"local"} if part.name == "local" else set()) | modules.get(part, set())
    project = FOLDERS | {CORE} | set().union(*modules.values())
    faults = []
    for name in imports_of(source):
        top = name.partition(".")[0]
        if name.startswith("."):
            faults.append(f"{path} imports {name}: imports are absolute")
        elif top in project - allowed:
            faults.append(f"{path} imports {name}, which is not of {part} and not of the core")
        elif part.name == "src" and top not in {CORE, *library_of(path)} | sys.stdlib_module_names:
            faults.append(f"{path} imports {name}, which is neither of the standard library nor what it wraps")
    return faults


def adapter_faults(path: PurePosixPath, source: str) -> list[str]:
    """Adapters that this file may not import: the core, the DAGs and other adapters import none."""
    if part_of(path).name not in ("src", "composer_dags"):
        return []
    return [f"{path} imports the adapter {name}" for name in sorted(adapters_of(source))]


def extra_faults(path: PurePosixPath, source: str, extras: Mapping[str, list[str]], installed: str) -> list[str]:
    """Adapters that this file of a deployable imports without their library in `installed`, its requirements."""
    wanted = {name: extras.get(name.replace("_", "-"), []) for name in sorted(adapters_of(source))}
    return [
        f"{path} imports the adapter {name}, and its requirements lack {library}"
        for name, requirements in wanted.items()
        for library in (re.split("[^a-z0-9-]", requirement)[0] for requirement in requirements)
        if f"\n{library}==" not in f"\n{installed}"
    ]


def purity_faults(path: PurePosixPath, source: str) -> list[str]:
    """What in this file of the core could reach a clock, chance, the environment, a file or a network."""
    allowed = PURE_LIBRARY | {CORE} | ({"importlib"} if path == SCHEMAS else set())
    attributes = IMPURE_ATTRIBUTES - ({"read_text"} if path == SCHEMAS else set())
    faults = [f"{path} imports {name}" for name in imports_of(source) if not {name, name.partition(".")[0]} & allowed]
    for node in ast.walk(tree_of(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in IMPURE_BUILT_INS:
            faults.append(f"{path}:{node.lineno} uses {node.id}")
        elif isinstance(node, ast.Attribute) and node.attr in attributes:
            faults.append(f"{path}:{node.lineno} uses {ast.unparse(node)}")
    return faults


def docstring_faults(path: PurePosixPath, source: str) -> list[str]:
    """Files that do not say what they are."""
    return [] if ast.get_docstring(tree_of(source)) else [f"{path} opens without a docstring"]


LOCK_NAMES: Final = {lock.path.name for lock in LOCKS}

SETUP: Final = PurePosixPath("local/setup")
"""What runs before anything is installed, on the oldest Python that may start it."""


def setup_faults(path: PurePosixPath, source: str) -> list[str]:
    """What in a file of the set-up needs a newer Python than 3.9, or more than the standard library."""
    try:
        ast.parse(source, feature_version=(3, 9))
    except SyntaxError as error:
        return [f"{path}:{error.lineno} is not Python 3.9: {error.msg}"]
    allowed = SETUP.as_posix().replace("/", ".")
    names = (name for name in imports_of(source) if name.partition(".")[0] not in sys.stdlib_module_names)
    return [f"{path} imports {name}" for name in names if not name.startswith(allowed)]


def folder_faults(paths: list[PurePosixPath]) -> list[str]:
    """Top-level folders that the design does not know."""
    tops = {path.parts[0] for path in paths if len(path.parts) > 1}
    return [f"{top}/ is not a folder of the design" for top in sorted(tops - FOLDERS) if not top.startswith(".")]


def lock_faults(paths: list[PurePosixPath]) -> list[str]:
    """Deployables without requirements of their own, and lock files that name hosts."""
    known = set(paths)
    parts = {part_of(path) for path in paths if is_deployable(part_of(path)) and path.suffix == ".py"}
    faults = [f"{part} has no requirements.txt" for part in sorted(parts) if part / "requirements.txt" not in known]
    return faults + [f"{path} is not for git" for path in paths if path.name == "uv.lock"]


def mirror_faults(paths: list[PurePosixPath]) -> list[str]:
    """Files of `tests/unit` that do not stand where their module does: `local/test_kafka.py` for `local/kafka.py`."""
    unit = PurePosixPath("tests/unit")
    modules = {str(PurePosixPath(*path.parts[1:]) if path.parts[0] == "src" else path) for path in paths}
    faults = []
    for path in paths:
        if not path.is_relative_to(unit) or path in WHOLE:
            continue
        module = path.relative_to(unit).with_name(path.stem.removeprefix("test_"))
        suffix = SOURCE_SUFFIX.get(path.suffix, "")
        found = f"{module}{suffix}" in modules or (suffix == ".py" and f"{module}/__init__.py" in modules)
        if not (path.name.startswith("test_") and suffix and found):
            faults.append(f"{path} is not the test of a module: there is no {module}{suffix}")
    return faults


# In parts, so that this file does not contain what it forbids.
REGISTRY: Final = re.compile(
    "|".join(
        re.escape(start + end)
        for start, end in [
            *[("py", "pi.org"), ("python", "hosted.org"), ("conda", ".anaconda.org")],
            *[("maven", ".org"), ("repo.maven", ".apache.org"), ("repository.apache", ".org")],
            *[("registry.npm", "js.org"), ("registry.yarn", "pkg.com"), ("crates", ".io"), ("proxy.golang", ".org")],
            *[("registry.terra", "form.io"), ("registry.hub.", "docker.com"), ("deb.debian", ".org")],
        ]
    )
)
MACHINE: Final = re.compile(r"(?<![\w./)}*-])/(?:work|home|root|Users)/\w")


def text_faults(path: PurePosixPath, text: str) -> list[str]:
    """Lines that name a package registry's host or a path of somebody's machine."""
    return [
        f"{path}:{number} names {found[0]}"
        for number, line in enumerate(text.splitlines(), 1)
        for found in (REGISTRY.search(line), MACHINE.search(line))
        if found
    ]


REQUIREMENT: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[a-z0-9,_-]+\])?==[^\s;:/]+(?: ; [^:/]+?)?(?:\s+--hash=sha256:[0-9a-f]{64})+"
)


def requirement_faults(path: PurePosixPath, text: str) -> list[str]:
    """Requirements that are not one exact version with its hashes, from wherever the user's installer looks."""
    lines = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [
        f"{path}: not an exact version with hashes: {line[:60].strip()}"
        for line in lines
        if line.strip() and not REQUIREMENT.fullmatch(line.strip())
    ]


# The whole tree.


@pytest.fixture(scope="module")
def paths() -> list[PurePosixPath]:
    """Every file that is in git or would be with the next `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    return [PurePosixPath(name) for name in listing.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def texts(paths: list[PurePosixPath]) -> dict[PurePosixPath, str]:
    contents = {path: (ROOT / path).read_bytes() for path in paths}
    return {path: content.decode("utf-8") for path, content in contents.items() if is_text(content)}


@pytest.fixture(scope="module")
def sources(texts: dict[PurePosixPath, str]) -> dict[PurePosixPath, str]:
    return {path: text for path, text in texts.items() if path.suffix == ".py"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def extras(project: dict[str, Any]) -> dict[str, list[str]]:
    """The requirements of each extra of the wheel."""
    found: dict[str, list[str]] = project["project"]["optional-dependencies"]
    return found


def is_text(content: bytes) -> bool:
    if b"\0" in content:
        return False
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def test_the_tree_is_seen(paths: list[PurePosixPath], sources: dict[PurePosixPath, str]) -> None:
    assert PurePosixPath("src", CORE, "candle.py") in sources
    assert PurePosixPath("pyproject.toml") in paths


def test_imports_follow_the_table(sources: dict[PurePosixPath, str]) -> None:
    modules = modules_of(list(sources))
    assert [fault for path, source in sources.items() for fault in import_faults(path, source, modules)] == []


def test_adapters_are_for_deployables(sources: dict[PurePosixPath, str]) -> None:
    assert [fault for path, source in sources.items() for fault in adapter_faults(path, source)] == []
    assert {path.stem for path in sources if path.parent == ADAPTERS} == set(LIBRARIES)


def test_every_adapter_with_a_library_is_an_extra(project: dict[str, Any], extras: dict[str, list[str]]) -> None:
    assert set(extras) == {name.replace("_", "-") for name, library in LIBRARIES.items() if library}
    asked_for = {requirement for group in project["dependency-groups"].values() for requirement in group}
    assert {requirement for extra in extras.values() for requirement in extra} <= asked_for


def test_deployables_install_what_their_adapters_wrap(
    sources: dict[PurePosixPath, str], texts: dict[PurePosixPath, str], extras: dict[str, list[str]]
) -> None:
    deployed = {path: source for path, source in sources.items() if is_deployable(part_of(path))}
    assert [
        fault
        for path, source in deployed.items()
        for fault in extra_faults(path, source, extras, texts.get(part_of(path) / "requirements.txt", ""))
    ] == []


def test_the_core_does_no_input_or_output(sources: dict[PurePosixPath, str]) -> None:
    core = {path: source for path, source in sources.items() if path.parts[0] == "src" and path.parent != ADAPTERS}
    assert [fault for path, source in core.items() for fault in purity_faults(path, source)] == []


def test_every_python_file_says_what_it_is(sources: dict[PurePosixPath, str]) -> None:
    assert [fault for path, source in sources.items() for fault in docstring_faults(path, source)] == []


def test_the_set_up_runs_on_any_python_that_may_start_it(sources: dict[PurePosixPath, str]) -> None:
    files = {
        path: source for path, source in sources.items() if path.parent == SETUP or path == SETUP.parent / "__init__.py"
    }
    assert len(files) >= 7
    assert [fault for path, source in files.items() for fault in setup_faults(path, source)] == []


def test_folders_are_those_of_the_design(paths: list[PurePosixPath]) -> None:
    assert folder_faults(paths) == []


def test_every_deployable_has_its_requirements(paths: list[PurePosixPath]) -> None:
    assert lock_faults(paths) == []


def test_unit_tests_mirror_the_sources(paths: list[PurePosixPath]) -> None:
    assert mirror_faults(paths) == []
    assert set(WHOLE) - set(paths) == set()


def test_no_file_names_a_registry_or_a_machine(texts: dict[PurePosixPath, str]) -> None:
    assert [fault for path, text in texts.items() for fault in text_faults(path, text)] == []


def test_requirements_are_exact_and_hashed(texts: dict[PurePosixPath, str]) -> None:
    files = {path: text for path, text in texts.items() if path.name in LOCK_NAMES}
    assert len(files) >= 13
    assert [fault for path, text in files.items() for fault in requirement_faults(path, text)] == []


# Each rule can fail.

MODULES: Final = modules_of(
    [
        PurePosixPath("functions/fetch_archive/main.py"),
        PurePosixPath("dataproc_jobs/candles/main.py"),
        PurePosixPath("dataproc_jobs/candles/candles_batch/transforms.py"),
        PurePosixPath("composer_dags/bybit_daily.py"),
    ]
)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("src/bitcoin_pipeline/trade.py", "import local.stack.lifecycle"),
        ("src/bitcoin_pipeline/trade.py", "import tests"),
        ("src/bitcoin_pipeline/trade.py", "import numpy"),
        ("src/bitcoin_pipeline/trade.py", "from .candle import Candle"),
        ("functions/fetch_archive/main.py", "from local.stack.waiting import wait_for"),
        ("functions/fetch_archive/main.py", "def f():\n    from tests.support import cases"),
        ("functions/fetch_archive/main.py", "import candles_batch.transforms"),
        ("functions/fetch_archive/main.py", "import functions.fetch_archive.main"),
        ("functions/fetch_archive/main.py", "import importlib\nimportlib.import_module('local')"),
        ("functions/fetch_archive/main.py", "from .. import candles"),
        ("dataproc_jobs/candles/main.py", "from functions.fetch_archive import main"),
        ("dataproc_jobs/other/main.py", "from candles_batch.transforms import read"),
        ("composer_dags/bybit_daily.py", "import local"),
        ("local/stack/lifecycle.py", "import dataproc_jobs.candles.transforms"),
        ("local/stack/lifecycle.py", "import candles_batch.transforms"),
        ("local/stack/lifecycle.py", "from tests.support.cases import load_cases"),
        ("local/stack/lifecycle.py", "from . import waiting"),
        ("src/bitcoin_pipeline/adapters/stdout.py", "import pyarrow"),
        ("src/bitcoin_pipeline/arrow.py", "import pyarrow"),
        ("src/bitcoin_pipeline/adapters/kafka.py", "import confluent_kafka\nimport pyarrow"),
        ("src/bitcoin_pipeline/adapters/stdout.py", "from local import waiting"),
    ],
)
def test_an_import_against_the_table_is_found(path: str, source: str) -> None:
    assert len(import_faults(PurePosixPath(path), source, MODULES)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("src/bitcoin_pipeline/trade.py", "import decimal\nfrom bitcoin_pipeline.times import iso"),
        ("functions/fetch_archive/main.py", "import requests\nfrom bitcoin_pipeline import names"),
        ("dataproc_jobs/candles/main.py", "import candles_batch.transforms"),
        ("local/stack/lifecycle.py", "from local import waiting\nimport bitcoin_pipeline"),
        (
            "src/bitcoin_pipeline/adapters/kafka.py",
            "import time\nimport confluent_kafka\nimport bitcoin_pipeline.errors",
        ),
        ("functions/fetch_archive/main.py", "from bitcoin_pipeline.adapters.kafka import read"),
        ("tests/unit/test_x.py", "import transforms, local, functions"),
    ],
)
def test_an_import_within_the_table_is_fine(path: str, source: str) -> None:
    assert import_faults(PurePosixPath(path), source, MODULES) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("src/bitcoin_pipeline/trade.py", "from bitcoin_pipeline.adapters.stdout import log"),
        ("src/bitcoin_pipeline/trade.py", "import bitcoin_pipeline.adapters.stdout"),
        ("composer_dags/bybit_daily.py", "from bitcoin_pipeline.adapters import stdout"),
        ("src/bitcoin_pipeline/adapters/other.py", "from bitcoin_pipeline.adapters import stdout"),
    ],
)
def test_an_adapter_where_none_may_be_is_found(path: str, source: str) -> None:
    assert adapter_faults(PurePosixPath(path), source) == [f"{path} imports the adapter stdout"]


@pytest.mark.parametrize("source", ["from bitcoin_pipeline import adapters", "import bitcoin_pipeline.adapters"])
def test_the_adapters_package_where_none_may_be_is_found(source: str) -> None:
    assert len(adapter_faults(PurePosixPath("src/bitcoin_pipeline/trade.py"), source)) == 1


@pytest.mark.parametrize(
    "source", ["from bitcoin_pipeline import names", "from bitcoin_pipeline.adapter import x", "import adapters.stdout"]
)
def test_what_is_no_adapter_is_fine(source: str) -> None:
    assert adapter_faults(PurePosixPath("src/bitcoin_pipeline/trade.py"), source) == []


def test_a_deployable_may_import_an_adapter_whose_library_it_installs() -> None:
    path, source = PurePosixPath("functions/a/main.py"), "from bitcoin_pipeline.adapters.one_two import x"
    extras = {"one-two": ["some-library>=2.1"]}
    assert adapter_faults(path, source) == []
    assert extra_faults(path, source, extras, "other==1\nsome-library==2.2 \\\n") == []
    assert len(extra_faults(path, source, extras, "other==1\nsome-library-more==2.2\n# some-library==2\n")) == 1


@pytest.mark.parametrize(
    "source",
    [
        *("import os", "import time", "import random", "import socket", "from pathlib import Path", "import io"),
        *(
            "from importlib import resources",
            "import urllib.request",
            "from urllib import parse",
            "__import__('os')",
            "open('x')",
            "f = open",
            "print('x')",
        ),
        *("dt.datetime.now(dt.UTC)", "dt.date.today()", "uuid.uuid4()", "files('x').read_text()"),
    ],
)
def test_input_and_output_in_the_core_is_found(source: str) -> None:
    assert purity_faults(PurePosixPath("src/bitcoin_pipeline/trade.py"), source)


def test_only_the_schemas_read_their_package() -> None:
    source = "from importlib.resources import files\nfiles('x').read_text()"
    assert purity_faults(SCHEMAS, source) == []
    assert len(purity_faults(PurePosixPath("src/bitcoin_pipeline/trade.py"), source)) == 2
    assert purity_faults(SCHEMAS, "open('x')")


@pytest.mark.parametrize("source", ["", "# a comment\n", "import os\n'late'\n", "''\n"])
def test_a_file_without_docstring_is_found(source: str) -> None:
    assert docstring_faults(PurePosixPath("local/x.py"), source)
    assert docstring_faults(PurePosixPath("local/x.py"), '"""What I am."""\n' + source) == []


@pytest.mark.parametrize("source", ["match 1:\n    case _: pass\n", "import requests\n", "from local import waiting\n"])
def test_a_set_up_that_needs_more_than_an_old_python_is_found(source: str) -> None:
    assert setup_faults(SETUP / "x.py", source)
    assert setup_faults(SETUP / "x.py", "import json\nfrom local.setup import locks\n") == []


def test_a_folder_beyond_the_design_is_found() -> None:
    some = [PurePosixPath(name) for name in ("utils/x.py", "README.md", ".ci/run", "src/bitcoin_pipeline/trade.py")]
    assert folder_faults(some) == ["utils/ is not a folder of the design"]


def test_a_deployable_without_requirements_is_found() -> None:
    some = [
        PurePosixPath(name) for name in ("functions/a/main.py", "functions/b/main.py", "functions/b/requirements.txt")
    ]
    assert lock_faults(some) == ["functions/a has no requirements.txt"]
    assert lock_faults([PurePosixPath("uv.lock")]) == ["uv.lock is not for git"]


MIRRORED: Final = [
    *("src/bitcoin_pipeline/trade.py", "src/bitcoin_pipeline/schemas/__init__.py", "local/exchange/tape.py"),
    *("cloudrun/dashboard/tape.py", "cloudrun/dashboard/assets/chart.js", "tests/support/cases.py"),
]


@pytest.mark.parametrize(
    "test",
    [
        *("bitcoin_pipeline/test_trade.py", "bitcoin_pipeline/test_schemas.py", "local/exchange/test_tape.py"),
        *("cloudrun/dashboard/test_tape.py", "cloudrun/dashboard/assets/test_chart.mjs", "tests/support/test_cases.py"),
        *("test_architecture.py", "bitcoin_pipeline/test_real_day.py"),
    ],
)
def test_a_unit_test_beside_its_module_is_fine(test: str) -> None:
    assert mirror_faults([PurePosixPath(name) for name in (*MIRRORED, f"tests/unit/{test}")]) == []


@pytest.mark.parametrize(
    "test",
    [
        *("test_trade.py", "src/bitcoin_pipeline/test_trade.py", "bitcoin_pipeline/test_trades.py"),
        *("bitcoin_pipeline/trade.py", "bitcoin_pipeline/test_trade.txt", "local/test_tape.py", "test_cases.py"),
        *("cloudrun/dashboard/assets/test_chart.py", "cloudrun/dashboard/test_chart.mjs", "local/exchange/__init__.py"),
    ],
)
def test_a_unit_test_away_from_its_module_is_found(test: str) -> None:
    assert len(mirror_faults([PurePosixPath(name) for name in (*MIRRORED, f"tests/unit/{test}")])) == 1


@pytest.mark.parametrize(
    "line",
    [
        "index-url = https://py" + "pi.org/simple",
        "https://files.python" + "hosted.org/packages/x",
        "https://repo1.maven" + ".org/maven2",
        "cd /wo" + "rk/main",
        'Path("/ho' + 'me/somebody/x")',
        "see `/ro" + "ot/x`",
    ],
)
def test_a_host_or_a_machine_is_found(line: str) -> None:
    assert len(text_faults(PurePosixPath("README.md"), f"fine\n{line}\n")) == 1


@pytest.mark.parametrize(
    "line", ["https://public.bybit.com/trading/", "$(VENV)/home/x", "a maven repository", "src/work/x"]
)
def test_other_addresses_and_paths_are_fine(line: str) -> None:
    assert text_faults(PurePosixPath("README.md"), line) == []


HASH: Final = f"--hash=sha256:{'0' * 64}"


@pytest.mark.parametrize(
    "text",
    [
        "requests==2.32.0\n",
        f"requests {HASH}\n",
        f"requests>=2 {HASH}\n",
        "requests==2.32.0 --hash=md5:00\n",
        f"requests @ https://somewhere/requests.whl {HASH}\n",
        f"--index-url https://somewhere\nrequests==2.32.0 {HASH}\n",
        f"-e .\nrequests==2.32.0 {HASH}\n",
    ],
)
def test_a_loose_requirement_is_found(text: str) -> None:
    assert len(requirement_faults(PurePosixPath("requirements.txt"), text)) == 1


def test_an_exact_requirement_is_fine() -> None:
    text = (
        f"# a\nx==2.32.0 \\\n    {HASH} \\\n    {HASH}\n    # via y\ny[z]==2.4 ; python_version < '3' \\\n    {HASH}\n"
    )
    assert requirement_faults(PurePosixPath("requirements.txt"), text) == []
