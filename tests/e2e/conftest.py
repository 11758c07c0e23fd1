"""The stacks that files of this folder share; each is up while its files run, and then goes down."""

from __future__ import annotations

import pytest

from tests.e2e import replayed, synthetic
from tests.support.command import Pipeline
from tests.support.kept import Kept


@pytest.fixture(scope="module")
def played(kept: Kept, tmp_path_factory: pytest.TempPathFactory) -> replayed.Played:
    """The stack that plays files and a capture."""
    return kept.get("played", lambda: replayed.played(tmp_path_factory.mktemp("played")))


@pytest.fixture(scope="module")
def synthetic_stack(kept: Kept, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The stack with the synthetic market, of which parts are killed."""
    return kept.get("kills", lambda: synthetic.stack(tmp_path_factory.mktemp("kills") / "home"))
