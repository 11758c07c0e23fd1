"""The stacks that test files of this folder share; each is up while the tests of its files run."""

from __future__ import annotations

import pytest

from tests.e2e import replayed, synthetic
from tests.support.command import Pipeline
from tests.support.kept import Kept


@pytest.fixture(scope="module")
def backing(pytestconfig: pytest.Config) -> str:
    """How the stacks of this run work, as `pipeline up --backing` spells it."""
    return str(pytestconfig.getoption("--backing"))


@pytest.fixture(scope="module")
def played(kept: Kept, tmp_path_factory: pytest.TempPathFactory, backing: str) -> replayed.Played:
    """The stack that replays archive files and a capture."""
    return kept.get("played", lambda: replayed.played(tmp_path_factory.mktemp("played"), backing))


@pytest.fixture(scope="module")
def synthetic_stack(kept: Kept, tmp_path_factory: pytest.TempPathFactory, backing: str) -> Pipeline:
    """The stack with the synthetic market, whose processes tests kill."""
    return kept.get("kills", lambda: synthetic.stack(tmp_path_factory.mktemp("kills") / "home", backing))
