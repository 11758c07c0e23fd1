"""The file of `pipeline up --print-compose`, run by docker compose."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from bitcoin_pipeline import names
from local.setup.environments import COMPOSE
from local.waiting import answers, wait_for
from tests.support.command import Pipeline


def compose_command() -> tuple[str, ...]:
    """The command of docker compose: Docker's plugin, else the program of `python3 -m local.setup compose`, if any."""
    plugin = ("docker", "compose")
    if shutil.which("docker") and _answers(plugin):
        return plugin
    # The package's own script would hide the program's exit code.
    program = COMPOSE.packages / "compose" / "docker-compose"
    return (str(program),) if program.exists() and _answers((str(program),)) else ()


def _answers(command: tuple[str, ...]) -> bool:
    return subprocess.run((*command, "version"), capture_output=True, check=False).returncode == 0


COMMAND: Final = compose_command()
SECONDS: Final = 180

pytestmark = [
    pytest.mark.containers,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not COMMAND, reason="NOT TESTED: the compose file, for there is no docker compose 2 here"),
]


@dataclass(frozen=True, slots=True)
class Composed:
    """A stack that docker compose runs. `home`: the pipeline's; `services`: those of the file, by their names."""

    home: Path
    name: str
    services: Mapping[str, Any]

    def port(self, service: str) -> int:
        """The port of this machine on which a service is published first."""
        return int(self.services[service]["ports"][0].split(":")[1])

    def state(self, service: str) -> dict[str, Any]:
        """The state of the container of a service as Docker has it."""
        mine = (f"label=com.docker.compose.{word}" for word in (f"project={self.name}", f"service={service}"))
        listed = ("docker", "ps", "--all", "--quiet", *(word for one in mine for word in ("--filter", one)))
        [found] = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
        state = subprocess.run(("docker", "inspect", found), capture_output=True, check=True).stdout
        answer = json.loads(state)[0]["State"]
        assert isinstance(answer, dict)
        return answer


@contextmanager
def composed(folder: Path) -> Iterator[Composed]:
    """The stack, up until the end of the context."""
    home, file = folder / "home", folder / "stack.json"
    printed = Pipeline(home).done("up", "--backing", "container", "--print-compose").out
    file.write_text(printed)
    described = json.loads(printed)
    command = (*COMMAND, "--file", str(file))
    try:
        subprocess.run((*command, "up", "--detach"), check=True, capture_output=True)
        yield Composed(home, described["name"], described["services"])
    finally:
        subprocess.run((*command, "down", "--volumes", "--timeout", "5"), check=True, capture_output=True)


def test_the_file_runs(tmp_path: Path) -> None:
    with composed(tmp_path) as stack:
        wait_for("the stores to be set up", lambda: stack.state("store_setup")["Status"] == "exited", SECONDS, 0.5)
        environ = stack.services["store_setup"]["environment"]
        assert stack.state("store_setup")["ExitCode"] == 0
        admin = AdminClient({"bootstrap.servers": environ["KAFKA_BOOTSTRAP_SERVERS"]})
        assert names.TRADES_TOPIC in admin.list_topics(timeout=30).topics
        login = {"port": int(environ["PGPORT"]), "user": environ["PGUSER"], "password": environ["PGPASSWORD"]}
        with psycopg.connect(host="127.0.0.1", dbname=environ["PGDATABASE"], **login) as database:
            assert database.execute("SELECT count(*) FROM candles").fetchone() == (0,)
        addresses = {
            "gcs": f"http://127.0.0.1:{stack.port('gcs')}/storage/v1/b?project=local",
            "bigquery": f"http://127.0.0.1:{stack.port('bigquery')}/bigquery/v2/projects/local/datasets",
            "producer": f"http://127.0.0.1:{stack.services['producer']['environment']['PORT']}/live",
            "dashboard": f"http://127.0.0.1:{stack.services['dashboard']['environment']['PORT']}/live",
        }
        for name, address in addresses.items():
            wait_for(f"{name} to answer at {address}", lambda address=address: answers(address), SECONDS, 0.5)  # type: ignore[misc]
        running = {name: stack.state(name)["Status"] for name in stack.services if name != "store_setup"}
        assert set(running.values()) == {"running"}, running
