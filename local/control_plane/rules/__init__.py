"""What each API does otherwise than the discovery documents say, one file an API or two.

Imported by `local.control_plane`. The files hold names, defaults and refusals that Google's manuals describe; an empty
second plan shows that the provider agrees with these defaults, not that Google does.
"""

from __future__ import annotations

from typing import Final

from local.control_plane.rules import (
    bigquery,
    composer,
    compute,
    containers,
    dataproc,
    dns,
    identity,
    messages,
    monitoring,
    project,
    schedules,
    secrets,
    sql,
    storage,
)
from local.control_plane.rules.registry import Rules

RULES: Final = Rules()
"""The rules of all APIs."""

for _module in (
    *(bigquery, composer, compute, containers, dataproc, dns, identity, messages, monitoring, project, schedules),
    *(secrets, sql, storage),
):
    RULES.include(_module.RULES)
