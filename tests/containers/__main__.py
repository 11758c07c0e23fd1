"""Runs the tests of stacks in containers; a part of `make test-containers`.

`python -m tests.containers [ARGUMENT of pytest ...]`. Where no registry answers, images that are built here stand in.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Final

import pytest

from local.backing.images import image
from local.stack.containers import ContainerError
from tests.containers.engine import EngineError, engine, engine_folder
from tests.containers.stand_ins import StandInError, images

TESTS: Final = (
    "tests/containers",
    "tests/e2e/test_live.py",
    "tests/e2e/test_archive_to_candles.py",
    # docker kill of each container at work.
    "tests/e2e/test_live_kill.py",
    "tests/e2e/test_kill.py::test_parts_killed_in_mid_work_change_nothing",
    "tests/integration/test_store_setup.py::test_a_job_killed_midway_changes_nothing_and_the_next_makes_all_of_it",
    "tests/integration/test_bigquery_stand_in.py::test_a_job_that_died_with_it_ends_with_an_error",
    "tests/integration/test_archive_live.py::test_a_call_killed_midway_is_made_good_by_the_next",
    "tests/integration/test_publish_live.py::test_a_call_killed_midway_is_made_good_by_the_next",
    "tests/integration/test_events.py::test_the_gap_of_a_refused_symbol_arrives",
    "tests/integration/test_events.py::test_events_that_cannot_be_sent_hold_no_trade_back",
)
LEFT_OUT: Final = (
    "test_a_corrupt_day_fails_alone_and_empty_days_are_told",
    "test_a_failed_day_is_computed_again_only_when_requested_or_revised",
    "test_a_day_that_cannot_be_fetched_keeps_no_other_from_loading",
    "test_a_revised_file_is_loaded_again_when_asked",
    "test_again_computes_nothing_of_unchanged_days",
)
"""Tests of the archive's faults, which take minutes and do not depend on how services run."""


def registry_answers() -> bool:
    """True when the image of the smallest service can be pulled or is here."""
    command = ("docker", "pull", "--quiet", image("gcs", {}))
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=120).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def run(arguments: list[str]) -> int:
    """Make what the tests need, and run them; returns pytest's exit code. Raises the errors of what is needed."""
    began = time.monotonic()
    with engine(engine_folder()):
        found = {} if registry_answers() else images()
        words = "those of registries" if not found else f"stand-ins ({', '.join(filter(None, found.values()))})"
        sys.stdout.write(f"images after {time.monotonic() - began:.0f} s: {words}\n")
        sys.stdout.flush()
        os.environ.update(found)
        chosen = arguments or ["-n", "3", *TESTS, *(f"--deselect={TESTS[2]}::{name}" for name in LEFT_OUT)]
        # In this process, with which the tests end, however it ends.
        return int(pytest.main(["--backing=container", "-m", "not browser", *chosen]))


def main() -> int:
    """The exit code of the tests, or 1 with a line of the reason where they cannot run."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the engine ends with this process
    try:
        return run(sys.argv[1:])
    except (EngineError, StandInError, ContainerError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
