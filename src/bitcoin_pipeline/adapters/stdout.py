"""The log of a process, on its standard output, where Cloud Run, functions and the local stack collect it.

Part of the adapters; needs no library.
"""

from __future__ import annotations

import sys

from bitcoin_pipeline.logs import log_line


def log(severity: str, message: str, **fields: object) -> None:
    """Write one event, in the form of `log_line`."""
    sys.stdout.write(log_line(severity, message, **fields))
    sys.stdout.flush()
