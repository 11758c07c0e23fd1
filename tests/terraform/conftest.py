"""The plans of all environments, made once, and what runs of Terraform share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.terraform import Modules, Plan

ENVIRONMENTS = ("history", "small", "full")


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Modules:
    return Modules(tmp_path_factory.mktemp("terraform"))


@pytest.fixture(scope="session")
def plans(modules: Modules) -> dict[str, Plan]:
    """The plan of each environment by the real provider."""
    modules.init("environments")
    return {name: modules.plan(name) for name in ENVIRONMENTS}


@pytest.fixture(params=ENVIRONMENTS)
def plan(request: pytest.FixtureRequest, plans: dict[str, Plan]) -> Plan:
    return plans[request.param]


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Terraform's settings and of the provider, installed once."""
    return tmp_path_factory.mktemp("settings")
