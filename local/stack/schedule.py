"""Calls the stack's functions in their turn, as Cloud Scheduler does in the cloud.

`python -m local.stack.schedule URL=SECONDS ...` posts to each address at once and then every so many seconds, one call
of an address at a time. A call that fails is repeated after half a minute, and is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from typing import Final

import requests

DEADLINE_SECONDS: Final = 300
"""Of one call; the functions end themselves before."""

RETRY_SECONDS: Final = 30


def failure(url: str, deadline_seconds: float = DEADLINE_SECONDS) -> str | None:
    """Call once; why it failed, or None."""
    try:
        answer = requests.post(url, timeout=deadline_seconds)
    except requests.RequestException as error:
        return repr(error)
    return None if answer.ok else f"{answer.status_code}: {answer.text[:500]}"


def keep_calling(url: str, period_seconds: float) -> None:
    """Call for ever, from the start of a call to the next at least `period_seconds`."""
    while True:
        started = time.monotonic()
        reason = failure(url)
        if reason is not None:
            line = json.dumps({"event": "call failed", "url": url, "reason": reason})
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        pause = period_seconds if reason is None else min(period_seconds, RETRY_SECONDS)
        time.sleep(max(0.0, started + pause - time.monotonic()))


def main() -> None:
    """Call until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m local.stack.schedule", description=__doc__)
    parser.add_argument("calls", metavar="URL=SECONDS", nargs="+")
    for call in parser.parse_args().calls:
        url, _, seconds = call.rpartition("=")
        threading.Thread(target=keep_calling, args=(url, float(seconds)), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
