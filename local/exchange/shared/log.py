"""The log of the simulator: one line of JSON on standard output per change of state.

Part of the exchange simulator.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def log_event(event: str, **fields: Any) -> None:
    """Write one event: a fixed phrase and its fields."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()
