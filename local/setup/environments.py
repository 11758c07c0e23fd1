"""The environments of this checkout, and the locks from which they are installed.

Imported by the other modules of `local.setup`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class SetupError(Exception):
    """The set-up cannot continue; the message has in one line the reason and what to do."""


@dataclass(frozen=True)
class Lock:
    """A requirements file with hashes, compiled from groups of `pyproject.toml` for one version of Python.

    `constraint`: another lock whose pins it shares. `override`: a file of requirements that replace those of packages.
    `excludes`: a file of packages that are left out. Both apply when a lock is compiled, not when it is installed.
    """

    file: str
    python: str
    groups: tuple[str, ...]
    constraint: str | None = None
    override: str | None = None
    excludes: str | None = None

    @property
    def path(self) -> Path:
        """The lock's file."""
        return ROOT / self.file


@dataclass(frozen=True)
class Environment:
    """A virtual environment that is installed from one lock. `holds`: its content in words; `mib`: its size on disk."""

    folder: str
    lock: Lock
    holds: str
    mib: int

    @property
    def path(self) -> Path:
        """The environment's folder."""
        return ROOT / self.folder

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.path / "bin" / "python"

    @property
    def packages(self) -> Path:
        """The environment's folder of packages."""
        return self.path / "lib" / f"python{self.lock.python}" / "site-packages"


@dataclass(frozen=True)
class Preparation:
    """Files that a module of this project makes once, in the main environment.

    `inputs`: the files on which they depend. `is_needed`: whether the set-up fails without them.
    """

    folder: str
    holds: str
    mib: int
    module: str
    arguments: tuple[str, ...]
    inputs: tuple[str, ...]
    is_needed: bool = True

    @property
    def path(self) -> Path:
        """The folder of the files."""
        return ROOT / self.folder


MAIN_LOCK = Lock(
    "local/requirements.txt",
    "3.11",
    (
        *("fetch-archive", "candles-job", "producer", "publish-live", "archive-live", "dashboard", "store-setup"),
        *("local", "dev"),
    ),
)
"""The lock of the main environment, with all packages that one process or one test may need together."""


def _deployable(folder: str, group: str) -> Lock:
    # What is installed alone has exactly the versions that were tested beside the others.
    return Lock(f"{folder}/requirements.txt", "3.11", (group,), constraint=MAIN_LOCK.file)


UV_LOCK = Lock("local/setup/uv.txt", "3.11", ("setup",))
"""The lock of uv, whose one wheel is for any Python 3."""
BUILD_LOCK = Lock("local/setup/build.txt", "3.11", ("build",))
"""The lock of the packages that build the few packages without a wheel."""
BIGQUERY_LOCK = Lock(
    "local/backing/bigquery/requirements.txt",
    "3.13",
    ("bigquery-stand-in",),
    override="local/backing/bigquery/overrides.txt",
)
FLINK_LOCK = Lock("flink/candles/requirements.txt", "3.11", ("flink",), excludes="flink/candles/excludes.txt")
AIRFLOW_LOCK = Lock("composer_dags/requirements.txt", "3.11", ("airflow",))
OLDEST_AIRFLOW_LOCK = Lock("tests/airflow/oldest.txt", "3.11", ("airflow-oldest",))
PEER_LOCK = Lock("tests/bench/cryptofeed.txt", "3.11", ("live-peer",))
AUDIT_LOCK = Lock("local/setup/audit.txt", "3.11", ("audit",))
TERRAFORM_LOCK = Lock("tests/terraform/requirements.txt", "3.11", ("terraform",))
COMPOSE_LOCK = Lock("tests/containers/requirements.txt", "3.11", ("compose",))

LOCKS = (
    *(UV_LOCK, BUILD_LOCK, MAIN_LOCK, BIGQUERY_LOCK, FLINK_LOCK, AIRFLOW_LOCK, OLDEST_AIRFLOW_LOCK, PEER_LOCK),
    AUDIT_LOCK,
    TERRAFORM_LOCK,
    COMPOSE_LOCK,
    _deployable("functions/fetch_archive", "fetch-archive"),
    _deployable("dataproc_jobs/candles", "candles-job"),
    _deployable("cloudrun/producer", "producer"),
    _deployable("functions/publish_live", "publish-live"),
    _deployable("functions/archive_live", "archive-live"),
    _deployable("cloudrun/dashboard", "dashboard"),
    _deployable("cloudrun/store_setup", "store-setup"),
    _deployable("local/command", "command"),
)

UV = Environment(".venv-uv", UV_LOCK, "uv", 80)
MAIN = Environment(".venv", MAIN_LOCK, "libraries, Spark, Java, Postgres", 1700)
BIGQUERY = Environment(".venv-bigquery", BIGQUERY_LOCK, "the BigQuery stand-in", 700)
FLINK = Environment(".venv-flink", FLINK_LOCK, "Flink", 400)
AIRFLOW = Environment(".venv-airflow", AIRFLOW_LOCK, "Airflow and its Google provider", 2000)
OLDEST_AIRFLOW = Environment(".venv-airflow-oldest", OLDEST_AIRFLOW_LOCK, "the oldest Airflow 3 of Composer", 2000)
PEER = Environment(".venv-bench", PEER_LOCK, "cryptofeed, the peer of `make bench-live`", 300)
AUDIT = Environment(".venv-audit", AUDIT_LOCK, "pip-audit, cyclonedx-py", 150)
TERRAFORM = Environment(".venv-terraform", TERRAFORM_LOCK, "Terraform, checkov and shellcheck", 500)
COMPOSE = Environment(".venv-compose", COMPOSE_LOCK, "docker compose, for the test of the printed file", 60)

JARS = Preparation(
    ".jars", "Kafka and Flink's connectors", 60, "local.java.jars", ("fetch",), ("local/java/jars.toml",)
)
CLASSES = Preparation(
    ".jars/prepared",
    "Java's archives of classes, listed by a stack that starts and stops",
    290,
    "local.stack.class_archives",
    (),
    ("local/java/jars.toml", MAIN_LOCK.file, FLINK_LOCK.file, "local/stack/class_archives.py", "local/java/jvm.py"),
    is_needed=False,
)
"""Without these archives a stack starts more slowly. An archive is valid for one location of the jars only."""

MACHINE_PACKAGES = Preparation(
    ".flink-packages",
    "the Flink job's packages for Dataproc's Python",
    100,
    "local.machine_packages",
    (),
    (FLINK_LOCK.file, "local/machine_packages.py"),
)

WHOLE = (MAIN, BIGQUERY, FLINK, JARS, CLASSES)
"""All steps that the demo and the tests need, in order."""
