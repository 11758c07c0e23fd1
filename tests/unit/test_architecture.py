"""The rules of the repository, applied to every file of it."""

from __future__ import annotations

import importlib.metadata
import subprocess
import tomllib
from pathlib import PurePosixPath
from typing import Any

import pytest

from local.checkout import ROOT
from tests.support.house import (
    ADAPTERS,
    CORE,
    FLOORS,
    LIBRARIES,
    LOCK_NAMES,
    SETUP,
    WHOLE,
    adapter_faults,
    circles,
    docstring_faults,
    extra_faults,
    floor_faults,
    folder_faults,
    graph_of,
    import_faults,
    is_deployable,
    library_faults,
    lock_faults,
    mirror_faults,
    modules_of,
    package_faults,
    part_of,
    purity_faults,
    requirement_faults,
    setup_faults,
    text_faults,
    wing_of,
)


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


def test_no_module_is_reached_from_what_it_imports(sources: dict[PurePosixPath, str]) -> None:
    graph = graph_of(sources)
    assert "bitcoin_pipeline.trade" in graph["bitcoin_pipeline.candle"]
    assert circles(graph) == []


def test_wings_import_lower_floors_only(sources: dict[PurePosixPath, str]) -> None:
    graph = graph_of(sources)
    assert {wing for floor in FLOORS for wing in floor} - {wing_of(module) for module in graph} == set()
    assert floor_faults(graph) == []


def test_packages_of_deployables_have_names_of_their_own(sources: dict[PurePosixPath, str]) -> None:
    assert package_faults(list(sources)) == []


def test_adapters_are_for_deployables(sources: dict[PurePosixPath, str]) -> None:
    assert [fault for path, source in sources.items() for fault in adapter_faults(path, source)] == []
    assert {path.stem for path in sources if path.parent == ADAPTERS} == set(LIBRARIES)


def test_every_adapter_with_a_library_is_an_extra(project: dict[str, Any], extras: dict[str, list[str]]) -> None:
    adapters = {name.replace("_", "-") for name, library in LIBRARIES.items() if library}
    assert set(extras) == adapters | {"command"}
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


def test_deployables_install_what_they_import(
    sources: dict[PurePosixPath, str], texts: dict[PurePosixPath, str]
) -> None:
    distributions = importlib.metadata.packages_distributions()
    own = {CORE} | {name for names in modules_of(list(sources)).values() for name in names}
    assert [
        fault
        for path, source in sources.items()
        if is_deployable(part_of(path))
        for fault in library_faults(path, source, texts.get(part_of(path) / "requirements.txt", ""), distributions, own)
    ] == []


def test_every_tool_finds_the_packages_of_deployables(
    sources: dict[PurePosixPath, str], project: dict[str, Any]
) -> None:
    folders = {str(part_of(path)) for path in sources if is_deployable(part_of(path))}
    tools = project["tool"]
    for paths in (tools["ruff"]["src"], tools["mypy"]["mypy_path"], tools["pytest"]["ini_options"]["pythonpath"]):
        assert set(paths) - {".", "src"} == folders


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
