"""The set-up's own code runs on the oldest Python that may start it."""

from __future__ import annotations

import ast
import sys

import pytest

from local.setup.environments import ROOT

FILES = [ROOT / "local" / "__init__.py", *sorted((ROOT / "local" / "setup").glob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_its_syntax_is_that_of_python_3_9_and_its_imports_are_the_standard_library(path) -> None:  # type: ignore[no-untyped-def]
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        for name in names:
            assert name.startswith("local.setup") or name.partition(".")[0] in sys.stdlib_module_names, name
