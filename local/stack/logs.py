"""Finds the one line of a service's log that states why the service ended or does not work. Pure.

Imported by the other modules of `local.stack`.
"""

from __future__ import annotations

import json
import re
from typing import Final

_TAKEN: Final = re.compile(
    r"address (?:already )?in use|BindException|failed to bind|could not bind|cannot serve on port", re.IGNORECASE
)
_FRAME: Final = re.compile(r"\s+at |\s*\.\.\. \d+ more|\s*File \"|Traceback |\s*Suppressed: |\s*[~^]+\s*$|-+$")
_CAUSE: Final = re.compile(r"(?:\[CIRCULAR REFERENCE:\s*)?(?:Caused by|Wrapped by): ")
_ERROR: Final = re.compile(r"\b(?:ERROR|FATAL|CRITICAL|PANIC)\b|^(?:[\w$]+\.)*[\w$]*(?:Error|Exception|Exit)\b")
_LONGEST: Final = 300


def port_is_taken(text: str) -> bool:
    """True when a line of `text` reports that another program listens on the service's port."""
    return _TAKEN.search(text) is not None


def reason(text: str) -> str:
    """The line of a log that states what went wrong, shortened; empty for an empty log.

    The first of these that exists: a line about a taken port, from which later errors follow; the last line that is a
    reason in JSON, the root cause of a stack trace or marked as an error; the last line.
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if port_is_taken(line):
            return _shortened(_json_reason(line) or _CAUSE.sub("", line))
    plain = [line for line in lines if not _FRAME.match(line)]
    for line in reversed(plain):
        if found := _json_reason(line):
            return _shortened(found)
        if found is None and (_CAUSE.match(line) or _ERROR.search(line)):
            return _shortened(_CAUSE.sub("", line))
    return _shortened(plain[-1] if plain else "")


def last_json_reason(text: str) -> str:
    """The last reason in a log of JSON lines; empty where there is none."""
    return next(filter(None, map(_json_reason, reversed(text.splitlines()))), "")


def _json_reason(line: str) -> str | None:
    """The reason in a line of JSON, empty where it has none; None for a line that is no JSON object."""
    if not line.startswith("{"):
        return None
    try:
        fields = json.loads(line)
    except json.JSONDecodeError:
        return None
    if not isinstance(fields, dict):
        return None
    return str(fields.get("reason") or fields.get("error") or "")


def _shortened(line: str) -> str:
    line = line.strip()
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
