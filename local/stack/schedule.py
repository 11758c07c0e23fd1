"""Calls the stack's functions periodically, as Cloud Scheduler does in the cloud.

`python -m local.stack.schedule URL=SECONDS ...` posts to each address at once and then every so many seconds, one call
of an address at a time. A call that fails is logged as one line of JSON and repeated after half a minute.
"""

from __future__ import annotations

import argparse
import threading
import time
from typing import Final

import requests

from bitcoin_pipeline import schemas
from bitcoin_pipeline.adapters.stdout import log

DEADLINE_SECONDS: Final = max(schemas.function_timeout_s(name) for name in ("publish_live", "archive_live"))
"""Upper bound on the time of one call."""

RETRY_SECONDS: Final = 30
"""Pause between a failed call and the next one."""


def failure(url: str, deadline_seconds: float = DEADLINE_SECONDS) -> str | None:
    """The reason why one call of `url` failed, or None when it succeeded."""
    try:
        answer = requests.post(url, timeout=deadline_seconds)
    except requests.RequestException as error:
        return repr(error)
    return None if answer.ok else f"{answer.status_code}: {answer.text[:500]}"


def keep_calling(url: str, period_seconds: float) -> None:
    """Call `url` for ever, with at least `period_seconds` between the starts of two calls."""
    while True:
        started = time.monotonic()
        reason = failure(url)
        if reason is not None:
            log("ERROR", "call failed", url=url, reason=reason)
        pause = period_seconds if reason is None else min(period_seconds, RETRY_SECONDS)
        time.sleep(max(0.0, started + pause - time.monotonic()))


def main() -> None:
    """Call until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m local.stack.schedule", description=__doc__)
    parser.add_argument("calls", metavar="URL=SECONDS", nargs="+")
    for call in parser.parse_args().calls:
        url, _, seconds = call.rpartition("=")
        threading.Thread(target=keep_calling, args=(url, float(seconds)), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
