"""A project on the stand-in of Google's control plane, with the real Terraform applied to it. For tests."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from local.control_plane.discovery import Catalogue
from local.control_plane.mirrors import Mirrors
from local.control_plane.server import ControlPlaneServer
from local.control_plane.service import ControlPlane, Request
from local.control_plane.world import PROJECT, World
from local.generated_secrets import broker_tls
from tests.support.terraform_runs import Terraform, copied, values_file

REGION: Final = "europe-west1"
_HASH: Final = "0" * 63


class AppliedProject:
    """A project that `terraform/bootstrap` prepared and to which environments are applied; a context manager.

    `settings`: see `Terraform`. `mirrors`: addresses of emulators by the host of their API. `environment`: the root
    module of the environments.
    """

    def __init__(self, folder: Path, settings: Path, mirrors: Mapping[str, str] | None = None, polls: int = 0) -> None:
        self.folder = folder
        self.plane = ControlPlane(World(polls=polls), Catalogue(), Mirrors(mirrors or {}))
        self._log = (folder / "refused.jsonl").open("w")
        self.server = ControlPlaneServer(self.plane, folder, log=self._log)
        copied(folder)
        self.bootstrap = Terraform(folder / "terraform" / "bootstrap", self.server.client_environ(), settings)
        self.environment = Terraform(folder / "terraform" / "environments", self.server.client_environ(), settings)

    def __enter__(self) -> AppliedProject:
        self.server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.server.__exit__(kind, error, at)
        self._log.close()

    def apply_bootstrap(self) -> None:
        """Apply the bootstrap."""
        self.bootstrap.init()
        self.bootstrap.apply(*self.bootstrap_arguments())

    def client_environ(self) -> dict[str, str]:
        """The variables that lead Terraform to this project."""
        return self.server.client_environ()

    def prepare(self) -> None:
        """Apply the bootstrap, store what stands for the artifacts, and install the environments' provider."""
        self.apply_bootstrap()
        for name in (*artifacts()["functions"].values(), artifacts()["flink"], *batch_files()):
            self.store(name, b"stands for an artifact")
        self.environment.init()

    def bootstrap_arguments(self) -> list[str]:
        """Terraform's arguments for the bootstrap, with random values that are new in each call."""
        generated = {"seed": secrets.token_urlsafe(48), "broker_tls": broker_tls()}
        given = {"project": PROJECT, "region": REGION, "generated": generated}
        return [values_file(self.folder / "bootstrap.tfvars.json", **given)]

    def store(self, name: str, content: bytes) -> None:
        """Store an object in the artifact bucket, as `make publish` does."""
        target = f"/upload/storage/v1/b/{PROJECT}-artifacts/o?uploadType=media&name={name}"
        headers = {"Content-Type": "application/octet-stream"}
        self.plane.answer(Request.of("storage.googleapis.com", "POST", target, headers, content))

    def arguments(self, environment: str, **values: Any) -> list[str]:
        """Terraform's arguments for an environment. `values`: of its variables, in place of the file's."""
        given = {"project": PROJECT, "region": REGION, "artifacts": artifacts(), **values}
        file = values_file(self.folder / "given.tfvars.json", **given)
        return [f"-var-file={environment}.tfvars", file]

    def resource(self, key: str) -> dict[str, Any]:
        """The resource of a key, such as `pubsub.googleapis.com/v1/projects/demo-project/topics/market-events`."""
        return self.plane.world.resources[key]

    def left(self) -> list[str]:
        """The keys of all resources but services, operations and what the bootstrap made."""
        kept = (
            *("/operations/", "serviceusage.", f"/b/{PROJECT}-state", f"/b/{PROJECT}-artifacts", "/repositories/"),
            *("/serviceAccounts/builder@", "/secrets/generated"),
            "/quotaPreferences/",  # their API has no method to delete one
        )
        return sorted(key for key in self.plane.world.resources if not any(part in key for part in kept))


def artifacts() -> dict[str, Any]:
    """The value of the variable `artifacts` for files and images that only have names."""
    images_at = f"{REGION}-docker.pkg.dev/{PROJECT}/pipeline"
    functions = ("archive_live", "fetch_archive", "publish_live")
    images = ("command", "dashboard", "producer", "store_setup")
    main, *files = batch_files()
    return {
        "bucket": f"{PROJECT}-artifacts",
        "builder": f"projects/{PROJECT}/serviceAccounts/builder@{PROJECT}.iam.gserviceaccount.com",
        "registry": f"projects/{PROJECT}/locations/{REGION}/repositories/pipeline",
        "functions": {name: f"functions/{name}-{_HASH}1.zip" for name in functions},
        "batch": {"main": main, "files": files},
        "flink": f"flink/candles-{_HASH}3.zip",
        "images": {
            **{name: f"{images_at}/{name}@sha256:{_HASH}4" for name in images},
            "redpanda": f"{images_at}/redpanda:v25.3.1@sha256:{_HASH}5",
        },
    }


def batch_files() -> list[str]:
    """The objects of the batch, main.py first."""
    names = ("main.py", "bitcoin_pipeline.zip", "candles_batch.zip", "isal.zip")
    return [f"dataproc_jobs/candles-{_HASH}2/{name}" for name in names]
