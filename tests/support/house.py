"""The rules of the repository: who imports whom, a core without I/O, the folders, and what no committed file contains.

Each rule is a pure function from a file, or from all files, to its faults. `tests/unit/test_architecture.py` applies
them to the whole tree, `tests/unit/tests/support/test_house.py` to small bad examples, which show that they can fail.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from local.setup.environments import LOCKS

FOLDERS: Final = {
    *("src", "functions", "cloudrun", "composer_dags", "dataproc_jobs", "flink", "terraform"),
    *("local", "tests"),
}
"""The only folders allowed at the top, beside those whose name begins with a dot."""

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
    "fetch_archive": ("requests",),
    "kafka": ("confluent_kafka",),
    "stdout": (),
}
"""What each file of the adapters wraps: the names of one third-party library, and of what that brings."""

WHOLE: Final = {
    PurePosixPath("tests/unit/test_architecture.py"): "the rules of the repository",
    PurePosixPath("tests/unit/bitcoin_pipeline/test_real_day.py"): "a real file through the core as a whole",
}
"""The unit tests of more than one module, and what they are of."""

ENTRY_POINTS: Final = {"main.py"}
"""The files beside a package that a runtime starts."""

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
    """Imports that the README's table of folders does not allow to this file."""
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
    """Adapters that this file may not import: the core, other adapters and the files of DAGs import none.

    The scheduler imports the files of DAGs all the time; the packages of their tasks may import adapters.
    """
    if part_of(path).name != "src" and path.parent.name != "composer_dags":
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
    """Top-level folders that are not in FOLDERS."""
    tops = {path.parts[0] for path in paths if len(path.parts) > 1}
    return [f"{top}/ is not in FOLDERS" for top in sorted(tops - FOLDERS) if not top.startswith(".")]


def lock_faults(paths: list[PurePosixPath]) -> list[str]:
    """Deployables without requirements of their own, and lock files that name hosts."""
    known = set(paths)
    parts = {part_of(path) for path in paths if is_deployable(part_of(path)) and path.suffix == ".py"}
    faults = [f"{part} has no requirements.txt" for part in sorted(parts) if part / "requirements.txt" not in known]
    return faults + [f"{path} is not for git" for path in paths if path.name == "uv.lock"]


def mirror_faults(paths: list[PurePosixPath]) -> list[str]:
    """Files of `tests/unit` that are not at the place of their module.

    The test of `local/java/jvm.py` is `tests/unit/local/java/test_jvm.py`.
    """
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


def graph_of(sources: Mapping[PurePosixPath, str]) -> dict[str, set[str]]:
    """Every module of the core, of `local` and of the deployables' packages, with the modules of these it imports."""
    modules = {module_of(path): path for path in sources if part_of(path).name != "tests"}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        names = set(imports_of(sources[path]))
        for node in ast.walk(tree_of(sources[path])):
            if isinstance(node, ast.ImportFrom):  # `from a import b` may import the module a.b
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        graph[module] = {name for name in names if name in modules} - {module}
    return graph


def module_of(path: PurePosixPath) -> str:
    """The name under which a file is imported: `bitcoin_pipeline.trade`, `producer.worker`, `local.build`."""
    part = part_of(path)
    inside = path.relative_to(part) if is_deployable(part) or part.name == "src" else path
    if len(inside.parts) == 1 and is_deployable(part):
        return f"{part.as_posix()}/{inside}"  # an entry point, which no module imports
    return ".".join(inside.with_suffix("").parts).removesuffix(".__init__")


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of nodes that reach each other, each in the order of their names."""
    reached = {node: _reachable(graph, node) for node in graph}
    together = {node: {other for other in reached[node] if node in reached.get(other, set())} for node in graph}
    groups = {tuple(sorted({node, *others})) for node, others in together.items() if others}
    return [list(group) for group in sorted(groups)]


def _reachable(graph: Mapping[str, set[str]], node: str) -> set[str]:
    seen: set[str] = set()
    left = [node]
    while left:
        new = graph.get(left.pop(), set()) - seen
        seen |= new
        left += new
    return seen


FLOORS: Final = (
    ("bitcoin_pipeline",),
    ("bitcoin_pipeline.bybit",),
    ("bitcoin_pipeline.live",),
    ("bitcoin_pipeline.adapters",),
    ("local",),
    ("local.java", "local.exchange", "local.dataproc", "local.control_plane"),
    ("local.backing",),
    ("local.stack",),
    ("local.command",),
    ("local.deploy",),
)
"""The wings of the core and of `local`, the lowest floor first; a wing imports lower floors and itself.

The modules that lie directly in a package are a wing of their own, its ground.
"""


def wing_of(module: str) -> str:
    """The wing that a module belongs to; the module itself where it is in none."""
    wings = [wing for floor in FLOORS for wing in floor if module == wing or module.startswith(f"{wing}.")]
    return max(wings, key=len, default=module)


def floor_faults(graph: Mapping[str, set[str]]) -> list[str]:
    """Imports from one wing into another of the same or of a higher floor."""
    floor = {wing: number for number, wings in enumerate(FLOORS) for wing in wings}
    return [
        f"{module} imports {name}, which is not on a lower floor"
        for module, names in sorted(graph.items())
        for name in sorted(names)
        if wing_of(name) != wing_of(module) and floor.get(wing_of(name), -1) >= floor.get(wing_of(module), len(FLOORS))
    ]


def package_faults(paths: list[PurePosixPath]) -> list[str]:
    """Modules beside a deployable's `main.py` that have no package, and packages whose name another part has, too.

    All of them stand on one path in the tests, so a name means one thing only.
    """
    inside = [path for path in paths if is_deployable(part_of(path)) and part_of(path).parts[0] in DEPLOYABLE_KINDS]
    alone = [path for path in inside if path.parent == part_of(path) and path.name not in ENTRY_POINTS]
    owners: dict[str, set[PurePosixPath]] = {CORE: {PurePosixPath("src")}, "local": {PurePosixPath("local")}}
    for path in inside:
        if path.parent != part_of(path):
            owners.setdefault(path.parts[2], set()).add(part_of(path))
    faults = [f"{path} is neither an entry point nor in a package" for path in alone]
    return faults + [
        f"{name} is a package of {' and of '.join(map(str, sorted(parts)))}"
        for name, parts in owners.items()
        if len(parts) > 1
    ]


DISTRIBUTIONS: Final = {
    "airflow.providers.common.compat": "apache-airflow-providers-common-compat",
    "airflow.providers.google": "apache-airflow-providers-google",
    "airflow.sdk": "apache-airflow-task-sdk",
    "google.api_core": "google-api-core",
    "google.auth": "google-auth",
    "google.cloud.bigquery": "google-cloud-bigquery",
    "google.cloud.dataproc_v1": "google-cloud-dataproc",
    "google.cloud.pubsub_v1": "google-cloud-pubsub",
    "google.cloud.storage": "google-cloud-storage",
    "google.oauth2": "google-auth",
    "google.pubsub_v1": "google-cloud-pubsub",
    "pyflink": "apache-flink",
}
"""The package that installs a module, where neither the module's name nor the test environment gives it."""

OF_THE_RUNTIME: Final = {(PurePosixPath("dataproc_jobs/candles"), "pyspark")}
"""Libraries that a deployable imports and its runtime installs."""


def library_faults(
    path: PurePosixPath, source: str, installed: str, distributions: Mapping[str, Sequence[str]], own: set[str]
) -> list[str]:
    """Third-party modules that this file of a deployable imports, and that `installed`, its requirements, lack.

    `distributions`: the packages that install each top-level module of the test environment. `own`: the project's own
    top-level modules.
    """
    part = part_of(path)
    locked = {line.split("==")[0].split("[")[0] for line in installed.splitlines() if "==" in line}
    faults = []
    for name in sorted(third_party_of(source)):
        known = next((DISTRIBUTIONS[found] for found in DISTRIBUTIONS if f"{name}.".startswith(f"{found}.")), None)
        top = name.partition(".")[0]
        candidates = [known] if known else [item.lower().replace("_", "-") for item in distributions.get(top, ())]
        if top not in own and (part, top) not in OF_THE_RUNTIME and not locked.intersection(candidates):
            faults.append(f"{path} imports {name}, which the requirements of {part} do not install")
    return faults


def third_party_of(source: str) -> set[str]:
    """The modules of libraries that a source imports; those of namespace packages in full."""
    names = set()
    for node in ast.walk(tree_of(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "google.cloud":
            names |= {f"google.cloud.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}
