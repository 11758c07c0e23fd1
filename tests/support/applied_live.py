"""The live plane's programs, started with the variables that Terraform gives them on Google Cloud. For tests.

What has no address on one machine is replaced: the broker is Kafka with TLS, the users, the passwords and the access
rules of Terraform; Postgres has its logins and passwords, without TLS; checkpoints lie in a folder; the exchange plays
a capture. Events have no stand-in, and are off.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import psycopg
from psycopg import sql

from local.checkout import ROOT
from local.stack.deployables import artifact_of
from local.waiting import answers, wait_for
from tests.support.live import conninfo
from tests.support.processes import RunningStack
from tests.support.secure_kafka import SecureKafka
from tests.support.whole_path import WholePath

_SECRET: Final = "secret:"  # noqa: S105  # the form in which Terraform's output names a secret
_TERRAFORMS: Final = ("PIPELINE_", "KAFKA_", "PG", "GOOGLE_CLOUD_PROJECT", "BIGQUERY_LOCATION")
"""The variables that come from Terraform alone."""

_PATIENCE_S: Final = 120


class AppliedLivePlane:
    """The live plane beside the stores of `stack`, whose exchange runs already; a context manager.

    `outputs`: of Terraform. `secrets`: the payload of each secret that they name.
    """

    def __init__(
        self, stack: RunningStack, folder: Path, outputs: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> None:
        self._stack = stack
        self._folder = folder
        self._outputs = outputs
        self._secrets = secrets
        users = {rule.split()[0] for rule in outputs["broker_rules"]}
        passwords = {user: secrets[f"broker-{user}"] for user in users}
        self._kafka = SecureKafka(folder / "kafka", stack.stack.ports["kafka"], passwords)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._specs = {spec.name: spec for spec in stack.stack.services()}

    @property
    def path(self) -> WholePath:
        """The tables and the exchange, read with the dashboard's login."""
        exchange = {"BYBIT_REST_URL": self._stack.stack.url("exchange")}
        return WholePath({**self.environ("dashboard"), **exchange, "PGPASSFILE": str(self._logins)})

    @property
    def dashboard(self) -> str:
        """The dashboard's address."""
        return self._stack.stack.url("dashboard")

    def environ(self, program: str) -> dict[str, str]:
        """The variables of a program: those of Terraform, with the addresses of this machine."""
        local = {name: text for name, text in self._stack.stack.environ().items() if not name.startswith(_TERRAFORMS)}
        given: dict[str, str] = self._outputs["environ"][program]
        values = {
            name: self._secrets[text.removeprefix(_SECRET)] if text.startswith(_SECRET) else text
            for name, text in given.items()
        }
        here = {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self._kafka.port}",
            "KAFKA_SSL_CA_LOCATION": str(self._kafka.ca),
            "KAFKA_SASL_PASSWORD_FILE": str(self._folder / "kafka-password"),
            "PGHOST": "127.0.0.1",
            "PGSSLMODE": "disable",
            "PGSSLROOTCERT": "",
            "PGPASSFILE": str(self._logins),
            "PIPELINE_EVENTS_TOPIC": "",
            "PATH": os.environ["PATH"],
        }
        replaced = {name: text for name, text in here.items() if name in given}
        port = {"PGPORT": str(self._stack.stack.ports["postgres"])} if "PGHOST" in given else {}
        return {"PATH": os.environ["PATH"], "HOME": str(self._folder), **local, **values, **replaced, **port}

    def __enter__(self) -> AppliedLivePlane:
        self._folder.mkdir()
        try:
            self._kafka.__enter__()
            self._kafka.allow(self._outputs["broker_rules"])
            self._create_database()
            self._write_secrets()
            self._set_up()
            flink = {**os.environ, "PGPASSFILE": str(self._logins)}
            for name in ("jobmanager", "taskmanager"):
                self._start(name, flink)
            for name in ("candles_job", "producer", "dashboard"):
                self._start(name, self.environ(name))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in reversed(self._processes):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
        self._kafka.__exit__()

    def log(self, name: str) -> str:
        """The output of a program so far."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    @property
    def _logins(self) -> Path:
        return self._folder / "pgpass"

    def _create_database(self) -> None:
        """Create what Cloud SQL and Terraform make: the database and its owner, which may create logins."""
        self._stack.start("postgres")
        owner = self._outputs["environ"]["store_setup"]
        names = {"user": sql.Identifier(owner["PGUSER"]), "database": sql.Identifier(owner["PGDATABASE"])}
        password = sql.Literal(self._secrets["postgres-owner"])
        with psycopg.connect(conninfo(self._stack), autocommit=True) as connection:
            role = sql.SQL("CREATE ROLE {user} LOGIN CREATEROLE PASSWORD {password}")
            connection.execute(role.format(**names, password=password))
            connection.execute(sql.SQL("CREATE DATABASE {database} OWNER {user}").format(**names))

    def _write_secrets(self) -> None:
        """Write the files that fetch-secrets writes on the cluster, and the dashboard's login for the tests."""
        database = self._outputs["environ"]["store_setup"]["PGDATABASE"]
        self._logins.touch(mode=0o600)
        self._logins.write_text(
            "".join(
                f"*:*:{database}:{login}:{self._secrets[f'postgres-{login}']}\n" for login in ("candles", "dashboard")
            )
        )
        (self._folder / "kafka-password").write_text(self._secrets["broker-candles"])

    def _set_up(self) -> None:
        """Run the job that `make deploy` runs."""
        program = artifact_of(self._stack.stack.home, "store_setup") / "main.py"
        words = (self._specs["producer"].command[0], str(program))
        outcome = subprocess.run(
            words, cwd=ROOT, env=self.environ("store_setup"), capture_output=True, text=True, check=False
        )
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr

    def _start(self, name: str, environ: Mapping[str, str]) -> None:
        spec = self._specs[name]
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                spec.command,
                cwd=ROOT,
                env={**environ, **spec.environ},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)

        def is_ready() -> bool:
            assert process.poll() is None, f"{name} ended with {process.returncode}: {self.log(name)[-3000:]}"
            return answers(spec.ready)

        wait_for(f"{name} to answer at {spec.ready}", is_ready, _PATIENCE_S)
