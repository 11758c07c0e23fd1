"""The `pipeline` command as its user runs it: a process with an environment of its own."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.backing.images import PREFIX
from local.checkout import ROOT
from tests.support.runs import RUN_VARIABLE


@dataclass(frozen=True, slots=True)
class Outcome:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, str]]:
        """Standard output read as CSV."""
        return list(csv.DictReader(io.StringIO(self.out)))


class Pipeline:
    """The command with PIPELINE_HOME at `home`, and without the cloud settings of the caller, whose images stay.

    `variables`: further variables of its environment.
    """

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        self.variables = variables

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the command."""
        ours = ("PIPELINE_", "GOOGLE_", "GCE_", "STORAGE_", "BIGQUERY_", "DATAPROC_", "BYBIT_", "CLOUD")
        environ = {
            name: value
            for name, value in os.environ.items()
            if name == RUN_VARIABLE or name.startswith(PREFIX) or not name.startswith(ours)
        }
        # A test that needs days of the synthetic market loads them itself.
        return {**environ, "PIPELINE_HISTORY_DAYS": "0", **self.variables, "PIPELINE_HOME": str(self.home)}

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begin a command and leave it running."""
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "local.command", *words],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, seconds: float = 600) -> Outcome:
        """Run a command to its end. `seconds`: upper bound, by default that of `up` on a busy machine."""
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise TimeoutError(
                f"`pipeline {' '.join(words)}` ran over {seconds:g} s: {out[-500:]} {err[-500:]}"
            ) from None
        return Outcome(process.returncode, out, err)

    def done(self, *words: str) -> Outcome:
        """Run a command that must succeed."""
        outcome = self.run(*words)
        assert outcome.code == 0, f"`pipeline {' '.join(words)}` ended with {outcome.code}: {outcome.err[-2000:]}"
        return outcome

    def status(self) -> dict[str, Any]:
        """The answer of `pipeline status --json`."""
        answer = json.loads(self.run("status", "--json").out)
        assert isinstance(answer, dict)
        return answer

    def pid(self, service: str) -> int:
        """The process of a service that runs now, 0 when none does."""
        return next((int(item["pid"]) for item in self.status()["services"] if item["name"] == service), 0)
