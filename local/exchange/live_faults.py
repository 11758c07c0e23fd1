"""Faults of the live side that the simulator shows on request."""

from __future__ import annotations


class LiveFaults:
    """Which are set: none yet."""
