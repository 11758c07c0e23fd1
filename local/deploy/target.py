"""Where the pipeline is deployed, and the question before something is changed there.

Imported by the other modules of `local.deploy`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_REGION = re.compile(r"[a-z]+-[a-z]+\d+")


class DeployError(Exception):
    """A step cannot be done; the message is one line with the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class Target:
    """A project and a region. `folder`: Terraform's working files, and the names of what was published."""

    project: str
    region: str
    folder: Path

    def __post_init__(self) -> None:
        if not _PROJECT.fullmatch(self.project):
            raise DeployError(
                f"PROJECT must be the id of a Google Cloud project, 6 to 30 of [a-z0-9-], got '{self.project}'"
            )
        if not _REGION.fullmatch(self.region) or self.region.startswith("us-"):
            raise DeployError(
                f"REGION must be a region outside the US, where Bybit answers 403, such as europe-west1, "
                f"got '{self.region}'"
            )

    @property
    def state_bucket(self) -> str:
        """The bucket of Terraform's state."""
        return f"{self.project}-state"

    @property
    def artifact_bucket(self) -> str:
        """The bucket of artifacts."""
        return f"{self.project}-artifacts"

    @property
    def registry(self) -> str:
        """The full name of the registry of images."""
        return f"projects/{self.project}/locations/{self.region}/repositories/pipeline"

    @property
    def registry_host(self) -> str:
        """Where images are pushed."""
        return f"{self.region}-docker.pkg.dev/{self.project}/pipeline"

    @property
    def builder(self) -> str:
        """The full name of the account that builds functions."""
        return f"projects/{self.project}/serviceAccounts/builder@{self.project}.iam.gserviceaccount.com"

    @property
    def artifacts_file(self) -> Path:
        """What the last publication made, as values of Terraform's variable `artifacts`."""
        return self.folder / "artifacts.tfvars.json"


class Conversation:
    """Reports to the user on stderr, and asks before something is changed.

    `read_line`: reads the answer; None where every question is answered with yes.
    """

    def __init__(self, read_line: Callable[[], str] | None) -> None:
        self._read_line = read_line

    def say(self, text: str) -> None:
        """Show a line."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def ask(self, question: str) -> None:
        """Ask a question whose answer is yes or no. Raises DeployError for no."""
        if self._read_line is None:
            return
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        if self._read_line().strip().lower() not in ("y", "yes"):
            raise DeployError("nothing was changed")
