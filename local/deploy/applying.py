"""Applies Terraform's root modules: plans, shows what would change and what it costs, asks once, applies.

Imported by `local.deploy.__main__` and tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from local import terraform
from local.checkout import ROOT
from local.command.costs.monthly import UnknownPriceError, monthly_items, price_table
from local.command.costs.shapes import SHAPES, Environment, Work
from local.deploy.target import Conversation, DeployError, Target

_MODULES: Final = ROOT / "terraform"
_CHANGES: Final = 2
"""Exit code of a plan that would change something."""

_BOOTSTRAP_COST: Final = "below $0.50 a month: the state, and 2 GiB of artifacts once they are published"


class RootModule:
    """A root module of `terraform/` for a target. Its working files lie in the target's folder."""

    def __init__(self, name: str, target: Target, conversation: Conversation, state: Path | None = None) -> None:
        """`state`: the file of a state that lies in no bucket."""
        try:
            self._program = terraform.command()
        except FileNotFoundError as error:
            raise DeployError(str(error)) from error
        self._folder = _MODULES / name
        self._data = target.folder / name
        self._data.mkdir(parents=True, exist_ok=True)
        self._conversation = conversation
        self._state = [f"-state={state}"] if state else []

    def init(self, *arguments: str) -> None:
        """Install the provider and choose the backend. Raises DeployError."""
        self._run("init", "-input=false", "-reconfigure", *arguments)

    def change(self, question: str, cost: str, arguments: Sequence[str], ephemeral: Sequence[str] = ()) -> bool:
        """Apply what a plan would change, once the user agrees; False when there is nothing to change.

        `ephemeral`: arguments that a saved plan does not hold. Raises DeployError.
        """
        plan = self._data / "plan"
        words = ["plan", "-input=false", "-detailed-exitcode", f"-out={plan}", *self._state, *arguments, *ephemeral]
        try:
            code = self._try(words, show=False)
            if code not in (0, _CHANGES):
                raise DeployError("terraform plan failed; its output stands above")
            if code == 0:
                return False
            self._conversation.say(f"{self._summary(plan)} {cost}")
            self._conversation.ask(question)
            self._run("apply", "-input=false", *self._state, *ephemeral, str(plan))
        finally:
            plan.unlink(missing_ok=True)
        return True

    def output(self) -> dict[str, Any]:
        """The outputs of what is applied."""
        found = json.loads(self._read("output", "-json", *self._state))
        return {name: item["value"] for name, item in found.items()}

    def _summary(self, plan: Path) -> str:
        described = json.loads(self._read("show", "-json", str(plan)))
        return summary_of(described)

    def _read(self, *words: str) -> str:
        outcome = subprocess.run(
            [*self._program, f"-chdir={self._folder}", *words],
            env=self._environ(),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if outcome.returncode:
            raise DeployError(f"terraform {words[0]} failed; its output stands above")
        return outcome.stdout

    def _run(self, *words: str) -> None:
        if self._try(words, show=True):
            raise DeployError(f"terraform {words[0]} failed; its output stands above")

    def _try(self, words: Sequence[str], *, show: bool) -> int:
        """Run Terraform and return its exit code. A plan's own text is not shown unless it fails."""
        command = [*self._program, f"-chdir={self._folder}", words[0], "-no-color", *words[1:]]
        if show:
            return subprocess.run(command, env=self._environ(), stdout=sys.stderr, check=False).returncode
        outcome = subprocess.run(command, env=self._environ(), capture_output=True, text=True, check=False)
        if outcome.returncode not in (0, _CHANGES):
            self._conversation.say(outcome.stdout + outcome.stderr)
        return outcome.returncode

    def _environ(self) -> dict[str, str]:
        return {**terraform.variables(os.environ, self._data.parent), "TF_DATA_DIR": str(self._data / "data")}


def summary_of(plan: Mapping[str, Any]) -> str:
    """What a plan would do, by kinds of resources. `plan`: as `terraform show -json` describes it."""
    counts: dict[str, Counter[str]] = {"create": Counter(), "update": Counter(), "delete": Counter()}
    for change in plan.get("resource_changes", []):
        for action in change["change"]["actions"]:
            if action in counts:
                counts[action][change["type"].removeprefix("google_")] += 1
    words = {"create": "creates", "update": "changes", "delete": "DELETES"}
    parts = [
        f"{words[action]} {kinds.total()} resources ({', '.join(f'{n} {kind}' for kind, n in kinds.most_common())})"
        for action, kinds in counts.items()
        if kinds
    ]
    return f"This {' and '.join(parts)}." if parts else "This changes outputs only."


def bootstrap(target: Target, conversation: Conversation) -> None:
    """Enable the APIs, and create the buckets of state and artifacts and the registry. Raises DeployError.

    The state is a file of this machine, as its bucket is created here; a copy of it is kept in that bucket.
    """
    state = target.folder / "bootstrap.tfstate"
    if not state.exists():
        _fetch_state(target, state)
    module = RootModule("bootstrap", target, conversation, state)
    module.init()
    variables = [f"-var=project={target.project}", f"-var=region={target.region}"]
    secrets = target.folder / "generated.tfvars.json"
    try:
        # Terraform stores these values with the first apply only, and never in its state.
        changed = module.change("Apply?", f"It costs {_BOOTSTRAP_COST}.", variables, _generated(secrets))
    finally:
        secrets.unlink(missing_ok=True)
    conversation.say("bootstrap is done; next: make publish" if changed else "nothing was changed: it is done already")
    _keep_state(target, state)


def deploy(target: Target, environment: Environment, values: Sequence[Path], conversation: Conversation) -> str:
    """Apply an environment and return the dashboard's address, empty without a live plane. Raises DeployError.

    `values`: further files of Terraform's variables, such as the user's own.
    """
    if not target.artifacts_file.exists():
        raise DeployError(f"{target.artifacts_file} is missing; run `make publish` first")
    module = RootModule("environments", target, conversation)
    module.init(f"-backend-config=bucket={target.state_bucket}", "-backend-config=prefix=pipeline")
    files = [_MODULES / "environments" / f"{environment}.tfvars", target.artifacts_file, *values]
    arguments = [f"-var-file={path}" for path in files]
    arguments += [f"-var=project={target.project}", f"-var=region={target.region}"]
    arguments.append(f"-var=has_quota_preference={json.dumps(_has_quota_preference(target))}")
    changed = module.change("Deploy?", cost_of(environment, target.region), arguments)
    outputs = module.output()
    if changed:
        _run_store_setup(target, outputs, conversation)
    if bucket := outputs.get("dags_bucket"):
        _copy_dags(target, bucket, conversation)
    conversation.say("deployed" if changed else "everything is deployed already; nothing was changed")
    return str(outputs.get("dashboard_url") or "")


def cost_of(environment: Environment, region: str) -> str:
    """A sentence on the monthly cost of an environment."""
    try:
        items = monthly_items(SHAPES[environment], Work(), region, price_table())
    except UnknownPriceError as error:
        return f"Its cost is not known: {error}."
    dollars = sum(item.dollars for item in items)
    return f"It costs about ${dollars:.0f} a month by list prices (`pipeline cost --environment {environment}`)."


def _generated(path: Path) -> list[str]:
    """Write new secrets to a file that only its user reads, and return the argument that names it."""
    command = [sys.executable, "-m", "local.generated_secrets"]
    outcome = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if outcome.returncode:
        raise DeployError("the secrets could not be generated; the reason stands above")
    path.touch(mode=0o600)
    path.write_text(outcome.stdout)
    return [f"-var-file={path}"]


def _run_store_setup(target: Target, outputs: Mapping[str, Any], conversation: Conversation) -> None:
    """Run the job that creates the live plane's tables and topics; it may run any number of times."""
    name = outputs.get("store_setup_job")
    if not name:
        return
    from google.cloud import run_v2

    conversation.say("creating the live plane's tables and topics")
    client = run_v2.JobsClient(transport="rest")
    path = f"projects/{target.project}/locations/{target.region}/jobs/{name.rpartition('/')[2]}"
    client.run_job(name=path, timeout=60).result(timeout=900)


def _has_quota_preference(target: Target) -> bool:
    """Whether the project has the limit of bytes that queries scan in a day, which a destroy leaves.

    Raises DeployError when that cannot be found out: an apply without the answer might fail at its end.
    """
    import google.auth
    from google.auth.transport.requests import AuthorizedSession
    from requests.adapters import HTTPAdapter
    from requests.exceptions import RequestException
    from urllib3.util import Retry

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    path = f"projects/{target.project}/locations/global/quotaPreferences/bigquery-query-usage-per-day"
    headers = {"x-goog-user-project": target.project}
    session = AuthorizedSession(credentials)
    again = Retry(total=5, backoff_factor=1, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False)
    session.mount("https://", HTTPAdapter(max_retries=again))
    try:
        answer = session.get(f"https://cloudquotas.googleapis.com/v1/{path}", headers=headers, timeout=60)
    except RequestException as error:
        raise DeployError(f"the project's limit of queries cannot be read: {error}") from error
    if answer.status_code not in (200, 404):
        raise DeployError(f"the project's limit of queries cannot be read: {answer.status_code} {answer.text[:300]}")
    return answer.status_code == 200


def _copy_dags(target: Target, bucket: str, conversation: Conversation) -> None:
    """Bring the DAGs of `make build` to Composer's bucket; a file that is there in the same form stays."""
    import base64
    import hashlib

    from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

    dags = storage.Client(target.project).bucket(bucket)
    folder = ROOT / "dist" / "composer_dags"
    copied = 0
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        name = f"dags/{path.relative_to(folder).as_posix()}"
        digest = base64.b64encode(hashlib.md5(path.read_bytes(), usedforsecurity=False).digest()).decode()
        present = dags.get_blob(name)
        if present is None or present.md5_hash != digest:
            dags.blob(name).upload_from_filename(str(path))
            copied += 1
    conversation.say(f"{copied} files of DAGs were copied")


def _fetch_state(target: Target, state: Path) -> None:
    """Bring the copy of the bootstrap's state that another machine has kept, where there is one."""
    from google.api_core.exceptions import Forbidden, NotFound
    from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

    try:
        text = storage.Client(target.project).bucket(target.state_bucket).blob(state.name).download_as_bytes()
    except (NotFound, Forbidden):  # nothing was bootstrapped yet, or the API is not enabled
        return
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_bytes(text)


def _keep_state(target: Target, state: Path) -> None:
    from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

    blob = storage.Client(target.project).bucket(target.state_bucket).blob(state.name)
    blob.upload_from_filename(str(state))
