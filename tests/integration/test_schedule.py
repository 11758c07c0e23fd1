"""The stack's scheduler with functions that take long and fail."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

from local.checkout import ROOT
from local.stack import schedule
from local.waiting import wait_for


class Function:
    """A function behind HTTP: `answers` are its status codes in turn, the last one for ever; each takes `seconds`."""

    def __init__(self, seconds: float, *answers: int) -> None:
        self.calls: list[tuple[str, float, float]] = []
        """Path, start and end of each."""
        function = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # http.server's name
                started = time.monotonic()
                time.sleep(seconds)  # what is simulated, not waited for
                function.calls.append((self.path, started, time.monotonic()))
                with suppress(BrokenPipeError, ConnectionResetError):  # the caller may have ended meanwhile
                    self.send_response(answers[min(len(function.calls), len(answers)) - 1])
                    self.end_headers()
                    self.wfile.write(b"what it says")

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False  # its end waits for theirs: a thread left over would meet the next tests

    @contextmanager
    def served(self) -> Iterator[str]:
        """Its address, while the context lasts."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{self._server.server_port}"
        finally:
            self._server.shutdown()
            self._server.server_close()


@contextmanager
def scheduler(*calls: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "local.stack.schedule", *calls], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


# period      0    .2   .4   .6   .8
# slow        [----------][----------]     one call after another, however long each takes
# fast        []   []   []   []
def test_each_is_called_in_its_turn_and_never_twice_at_once() -> None:
    slow, fast = Function(0.5, 200), Function(0.0, 200)
    started = time.monotonic()
    with slow.served() as slow_url, fast.served() as fast_url, scheduler(f"{slow_url}/x=0.2", f"{fast_url}/y=0.2"):
        wait_for("some calls of both", lambda: len(slow.calls) >= 3 and len(fast.calls) >= 3, 60)
    calls = sorted(slow.calls, key=lambda call: call[1])
    assert {path for path, _, _ in calls} == {"/x"}
    assert all(earlier[2] <= later[1] for earlier, later in pairwise(calls))
    assert all(at >= started + 0.2 * place for place, (_, at, _) in enumerate(fast.calls))


def test_a_failed_call_is_one_line_and_the_next_one_comes() -> None:
    function = Function(0.0, 503, 200)
    with function.served() as url, scheduler(f"{url}/publish=0.2") as process:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        wait_for("calls after it", lambda: len(function.calls) >= 3, 60)
    assert line == {"event": "call failed", "url": f"{url}/publish", "reason": "503: what it says"}
    assert process.stdout.read() == ""


def test_a_call_has_a_deadline() -> None:
    function = Function(2.0, 200)
    with function.served() as url:
        reason = schedule.failure(url, 0.2)
    assert reason is not None
    assert reason.startswith("ReadTimeout(")


def test_nobody_there_is_a_failure() -> None:
    with Function(0.0, 200).served() as url:
        pass
    reason = schedule.failure(url)
    assert reason is not None
    assert reason.startswith("ConnectionError(")
