"""The log of a process on its standard output, where Google Cloud and the local stack collect it.

Part of the adapters; any deployable may import it, because it needs no library.
"""

from __future__ import annotations

import sys

from bitcoin_pipeline.logs import log_line


def log(severity: str, message: str, **fields: object) -> None:
    """Writes one event in the form of `log_line`, at once."""
    sys.stdout.write(log_line(severity, message, **fields))
    sys.stdout.flush()
