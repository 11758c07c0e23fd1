"""The distribution of the tests over the workers of pytest-xdist."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # has no types

from tests.support.kept import unit_of


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # its types are partial
    """A scheduler that assigns each worker the next unit in the order of the tests."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
