"""The dashboard's log: one JSON line per change of state, in the form that Cloud Logging reads.

Part of the dashboard.
"""

from __future__ import annotations

import json
import sys


def log(severity: str, message: str, **fields: object) -> None:
    """Write one event: a fixed phrase and its fields."""
    sys.stdout.write(json.dumps({"severity": severity, "message": message, **fields}, default=str) + "\n")
    sys.stdout.flush()
