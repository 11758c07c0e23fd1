"""How a line of the log looks.

Part of the core; anybody may import it. `adapters/stdout.py` writes such lines.
"""

from __future__ import annotations

import json


def log_line(severity: str, message: str, **fields: object) -> str:
    """One event as a line of JSON in the form that Cloud Logging reads, its line end included.

    `severity`: a severity of Cloud Logging, such as INFO. `message`: a fixed phrase; what varies is in `fields`, and a
    value that JSON does not have is written as its text.
    """
    return json.dumps({"severity": severity, "message": message, **fields}, default=str) + "\n"
