"""Whether a failed operation is worth repeating, as the type of its error.

Part of the core; any module may import it.
"""

from __future__ import annotations


class RetryableError(Exception):
    """An operation failed; the same one may succeed a little later."""


class FinalError(Exception):
    """An operation failed in a way that repeating it does not change."""
