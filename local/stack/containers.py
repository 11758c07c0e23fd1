"""A stack's containers: what they need before they start, one that runs in the place of a process, and their end.

`python -m local.stack.containers HOME SERVICE` runs the container of a service until it ends or a signal arrives, so
that supervisord starts, logs and restarts it as it does a process. Imported by the other modules of `local.stack`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from local.backing.containers import HOME_LABEL, Container, network_of
from local.backing.images import BUILT, image
from local.backing.postgres import password_made_once
from local.checkout import ROOT
from local.stack.config import StackConfig
from local.stack.deployables import artifacts_in
from local.stack.logs import reason
from local.stack.progress import Report
from local.waiting import answers, wait_for

if TYPE_CHECKING:
    import docker

_START_SECONDS: Final = 120


class ContainerError(RuntimeError):
    """Docker, or an image, is not there; the message contains what is missing and what to do."""


@contextmanager
def engine() -> Iterator[docker.DockerClient]:
    """A client of this machine's Docker engine. Raises ContainerError when none answers."""
    import docker

    try:
        client = docker.from_env(timeout=_START_SECONDS)
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        raise ContainerError(
            f"--backing container needs a Docker engine, and none answers ({error}); install and start Docker, "
            "set DOCKER_HOST where it listens elsewhere, or leave --backing out"
        ) from error
    with client.api:
        yield client


def prepare(config: StackConfig, report: Report) -> None:
    """Build the images that no variable replaces, and make the network. Raises ContainerError."""
    with engine() as client:
        for name in BUILT:
            if not config.images or not config.images.get(name):
                report.step(f"building the image of {name}")
                build_image(name, artifacts_in(config.home))
        name = network_of(config.home)
        labels = {HOME_LABEL: str(config.home)}
        client.networks.create(name, driver="bridge", labels=labels, check_duplicate=True)


def build_image(name: str, artifacts: Path, arguments: Sequence[str] = (), tag: str = "") -> None:
    """Build an image of BUILT, by default with its own tag. `artifacts`: the folder of `local.build`'s artifacts.

    `arguments`: further ones of `docker build`. Raises ContainerError.
    """
    docker = shutil.which("docker")
    if docker is None:
        raise ContainerError("images are built by the command `docker`, which is not installed")
    context = (ROOT if name == "bigquery" else artifacts) / BUILT[name]
    outcome = subprocess.run(
        (docker, "build", "--network=host", f"--tag={tag or image(name, {})}", *arguments, str(context)),
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode:
        raise ContainerError(f"the image of {name} cannot be built ({reason(outcome.stderr + outcome.stdout)})")


def remove_left(client: docker.DockerClient, home: Path, *, data: bool = False) -> None:
    """Remove the containers and the network of the stack in `home`, and with `data` its volumes."""
    import docker

    mine: Any = {"label": f"{HOME_LABEL}={home}"}
    for container in client.containers.list(all=True, filters=mine):
        with suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)
    for network in client.networks.list(filters=mine):
        with suppress(docker.errors.NotFound):
            network.remove()
    for volume in client.volumes.list(filters=mine) if data else []:
        with suppress(docker.errors.NotFound):
            volume.remove(force=True)


def run_once(config: StackConfig, name: str, words: Sequence[str]) -> tuple[int, str]:
    """The exit code and the output of a job that runs as a container."""
    with engine() as client:
        running = _started(client, config, name, config.jobs()[name], words)
        try:
            code = int(running.wait()["StatusCode"])
            return code, running.logs().decode(errors="replace")
        finally:
            running.remove(force=True, v=True)


def _started(
    client: docker.DockerClient, config: StackConfig, name: str, container: Container, words: Sequence[str] = ()
) -> Any:
    """The container, started in the place of an earlier one of the same service."""
    # Each container ends with the process that runs it, and `up` and `down` remove what a killed one has left.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    import docker
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.network import Network

    labels = {HOME_LABEL: str(config.home)}
    own = "-".join((network_of(config.home), name, *words))
    with suppress(docker.errors.NotFound):
        client.containers.get(own).remove(force=True, v=True)
    started = DockerContainer(container.image, name=own).with_command([*container.command, *words])
    # A small first process passes signals on, which the kernel withholds from a first process without handlers.
    options: dict[str, Any] = {"labels": labels, "init": True, "log_config": {"type": "json-file"}}
    for source, target in container.volumes.items():
        if source.startswith("/"):
            Path(source).mkdir(exist_ok=True)
        else:
            client.volumes.create(source, labels=labels)
        started.with_volume_mapping(source, target, "rw")
    started.with_envs(**container.environ)
    if container.credential_variable:
        folder = config.home / "postgres"
        folder.mkdir(exist_ok=True)
        started.with_env(container.credential_variable, password_made_once(folder / "pgpass"))
    if container.user:
        options["user"] = container.user
    if container.ports:
        network = Network()
        network.name = network_of(config.home)
        started.with_network(network).with_network_aliases(name)
        for inside, outside in container.ports.items():
            started.ports[str(inside)] = ("127.0.0.1", outside)  # type: ignore[assignment]  # as Docker's client takes it
    else:
        options |= {"network": "host", "read_only": True, "cap_drop": ["ALL"]}
    return started.with_kwargs(**options).start().get_wrapped_container()


def _create(address: str) -> None:
    wait_for(f"{address} to answer", partial(answers, address.partition("/v1/")[0]), _START_SECONDS)
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, b"{}", headers, method="PUT")  # noqa: S310  # our own address
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310  # our own address
        pass


def main() -> None:
    """Run the container of a service; exit with its code."""
    from local.stack.state import read_state

    parser = argparse.ArgumentParser(prog="python -m local.stack.containers", description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("service")
    arguments = parser.parse_args()
    state = read_state(arguments.home)
    assert state is not None
    config = state.config(arguments.home)
    container = config.containers()[arguments.service]
    with engine() as client, engine() as of_signals:
        running = _started(client, config, arguments.service, container)

        def pass_on(number: int, frame: FrameType | None) -> None:
            with suppress(Exception):  # it has ended
                of_signals.containers.get(running.id).kill(signal.Signals(number).name)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, pass_on)
        if container.creates:
            threading.Thread(target=_create, args=(container.creates,), daemon=True).start()
        try:
            for line in running.logs(stream=True, follow=True):
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
            code = int(running.wait()["StatusCode"])
        finally:
            running.remove(force=True, v=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
