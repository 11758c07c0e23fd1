"""The form of a log line.

Part of the core; any module may import it. `adapters/stdout.py` writes such lines.
"""

from __future__ import annotations

import json


def log_line(severity: str, message: str, **fields: object) -> str:
    """One event as a line of JSON in the form that Cloud Logging reads, its line end included.

    `severity`: a severity of Cloud Logging, such as INFO. `message`: a fixed phrase; all that varies is in `fields`. A
    value that JSON cannot hold is written as its `str`.
    """
    return json.dumps({"severity": severity, "message": message, **fields}, default=str) + "\n"
