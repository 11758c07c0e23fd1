"""The scripts of the virtual machines, run with the machine's own programs where there are some, else with stand-ins.

A stand-in writes its arguments to a file, so that a test sees what was called; paths of the machine are replaced by
those of a temporary folder.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from local.checkout import ROOT
from local.generated_secrets import BROKER_HOST, broker_tls

pytestmark = pytest.mark.terraform

BROKER = ROOT / "terraform" / "modules" / "broker" / "files"
CANDLES = ROOT / "terraform" / "modules" / "candles_stream" / "files"


class Machine:
    """A folder with stand-ins of programs, in which scripts run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self._programs = folder / "bin"
        self._programs.mkdir()
        self.stand_in("chown", "exit 0")

    def stand_in(self, name: str, body: str) -> None:
        """A program whose call is recorded, and which then does `body`."""
        path = self._programs / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>{self.calls}\n{body}\n')
        path.chmod(0o755)

    def run(
        self,
        script: Path,
        *arguments: object,
        replaced: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> str:
        """The output of a script. Raises CalledProcessError when it fails."""
        text = script.read_text("utf-8")
        for old, new in (replaced or {}).items():
            assert old in text
            text = text.replace(old, new)
        path = self.folder / script.name
        path.write_text(text)
        path_variable = f"{self._programs}:{os.environ['PATH']}:/usr/sbin:/sbin"
        outcome = subprocess.run(
            ["/bin/bash", str(path), *map(str, arguments)],
            env={"PATH": path_variable, "HOME": str(self.folder), **(environ or {})},
            capture_output=True,
            text=True,
            check=True,
        )
        return outcome.stdout + outcome.stderr

    def called(self, name: str) -> list[str]:
        """The calls of a program."""
        lines = self.calls.read_text("utf-8").splitlines() if self.calls.exists() else []
        return [line for line in lines if line.split(" ")[0] == name]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


class TestPrepareDisk:
    """The disk is a file, which mkfs, blkid and fsck take as one; only the mount is a stand-in."""

    @pytest.fixture
    def disk(self, machine: Machine) -> Path:
        for name, body in {"mountpoint": "exit 1", "mount": "exit 0", "sleep": "exit 0", "resize2fs": "exit 0"}.items():
            machine.stand_in(name, body)
        path = machine.folder / "disk"
        with path.open("wb") as file:
            file.truncate(64 << 20)
        return path

    def prepare(self, machine: Machine, disk: Path) -> str:
        return machine.run(BROKER / "prepare-disk", disk, machine.folder / "data", replaced={"[ -b": "[ -f"})

    def file_system(self, disk: Path) -> str:
        command = ["/usr/sbin/blkid", "--probe", "--output", "value", "--match-tag", "UUID", str(disk)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def test_a_new_disk_is_formatted_once(self, machine: Machine, disk: Path) -> None:
        self.prepare(machine, disk)
        first = self.file_system(disk)
        assert first
        assert (machine.folder / "data" / "redpanda").is_dir()
        self.prepare(machine, disk)  # the next machine with the same disk
        assert self.file_system(disk) == first
        assert len(machine.called("mount")) == 2

    def test_after_a_reboot_of_the_service_alone_nothing_is_mounted_again(self, machine: Machine, disk: Path) -> None:
        self.prepare(machine, disk)
        machine.stand_in("mountpoint", "exit 0")
        self.prepare(machine, disk)
        assert len(machine.called("mount")) == 1

    @pytest.mark.parametrize("code", [4, 8])
    def test_a_disk_that_cannot_be_read_is_not_formatted(self, machine: Machine, disk: Path, code: int) -> None:
        machine.stand_in("blkid", f"exit {code}")
        with pytest.raises(subprocess.CalledProcessError) as error:
            self.prepare(machine, disk)
        assert f"blkid cannot read {disk} (exit code {code})" in error.value.stderr
        assert self.file_system(disk) == ""

    def test_a_journal_of_a_machine_that_lost_its_power_is_mended(self, machine: Machine, disk: Path) -> None:
        self.prepare(machine, disk)
        machine.stand_in("fsck.ext4", "exit 1")
        self.prepare(machine, disk)
        machine.stand_in("fsck.ext4", "exit 4")  # errors that need a decision
        with pytest.raises(subprocess.CalledProcessError):
            self.prepare(machine, disk)
        assert len(machine.called("mount")) == 2

    def test_a_disk_that_is_not_attached_is_an_error(self, machine: Machine, disk: Path) -> None:
        disk.unlink()
        with pytest.raises(subprocess.CalledProcessError) as error:
            self.prepare(machine, disk)
        assert f"no disk {disk} after a minute" in error.value.stderr


CURL = """
input=$(cat)
if [[ "$*" == *metadata* ]]; then
  echo '{"access_token":"ya29.token","expires_in":3599,"token_type":"Bearer"}'
else
  name=${input#*/secrets/} && name=${name%%/*}
  [[ "$input" == *"Authorization: Bearer ya29.token"* ]] || exit 22
  printf '{\\n  "name": "x",\\n  "payload": {\\n    "data": "%s",\\n    "dataCrc32c": "1"' "$(base64 -w0 SECRETS/$name)"
  printf '\\n  }\\n}\\n'
fi
"""


class TestBrokerSecrets:
    @pytest.fixture
    def secrets(self, machine: Machine) -> Path:
        folder = machine.folder / "stored"
        folder.mkdir()
        for name, value in {"broker-admin": "of-the-admin", "broker-producer": "of-the-producer"}.items():
            (folder / name).write_text(value)
        (folder / "broker-tls").write_text(broker_tls())
        machine.stand_in("curl", CURL.replace("SECRETS", str(folder)))
        return folder

    def fetch(self, machine: Machine) -> Path:
        target = machine.folder / "run" / "secrets"
        replaced = {"/etc/redpanda/redpanda.yaml /etc/redpanda/.bootstrap.yaml": str(BROKER / "bootstrap.yaml")}
        secrets = "admin=broker-admin/1 producer=broker-producer/1 tls=broker-tls/1"
        machine.run(
            BROKER / "fetch-secrets", target, replaced=replaced, environ={"PROJECT": "demo-project", "SECRETS": secrets}
        )
        return target

    @pytest.mark.usefixtures("secrets")
    def test_each_secret_is_a_file_that_only_its_owner_reads(self, machine: Machine) -> None:
        folder = self.fetch(machine)
        assert (folder / "producer").read_text() == "of-the-producer"
        assert (folder / "bootstrap").read_text() == "RP_BOOTSTRAP_USER=admin:of-the-admin:SCRAM-SHA-256\n"
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
        assert "ya29" not in machine.calls.read_text()

    @pytest.mark.usefixtures("secrets")
    def test_the_certificate_is_of_the_key_and_of_the_brokers_name(self, machine: Machine) -> None:
        folder = self.fetch(machine)
        authority, certificate, key = (str(folder / name) for name in ("ca", "certificate", "key"))
        verify = ["openssl", "verify", "-CAfile", authority, "-verify_hostname"]
        assert subprocess.run([*verify, BROKER_HOST, certificate], capture_output=True, check=False).returncode == 0
        assert subprocess.run([*verify, "elsewhere", certificate], capture_output=True, check=False).returncode != 0
        of_key = subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], capture_output=True, check=True)
        of_certificate = ["openssl", "x509", "-in", certificate, "-pubkey", "-noout"]
        assert subprocess.run(of_certificate, capture_output=True, check=True).stdout == of_key.stdout
        assert (folder / "ca").read_text().count("BEGIN CERTIFICATE") == 1

    def test_an_empty_secret_stops_the_start(self, machine: Machine, secrets: Path) -> None:
        (secrets / "broker-producer").write_text("")
        with pytest.raises(subprocess.CalledProcessError):
            self.fetch(machine)


class TestBrokerClients:
    def test_users_get_their_passwords_and_rules_and_lose_others(self, machine: Machine) -> None:
        secrets = machine.folder / "secrets"
        secrets.mkdir()
        for name in ("admin", "producer", "dashboard"):
            (secrets / name).write_text(f"of-{name}")
        rules = machine.folder / "clients"
        rules.write_text(
            "producer allow write,describe topic trades\n"
            "producer allow idempotent_write cluster\n"
            "dashboard allow read,describe topic trades\n"
            "dashboard allow read,describe group dashboard\n"
        )
        machine.stand_in("docker", f'echo "$RPK_PASS $NEW_PASS" >>{machine.folder}/passwords')
        environ = {"ADDRESS": "broker.pipeline.internal:9093", "RETENTION": "1000"}
        machine.run(BROKER / "set-clients", rules, secrets, environ=environ)
        commands = [call.partition(" redpanda ")[2] for call in machine.called("docker")]
        assert commands[0] == "rpk cluster health --exit-when-healthy"
        assert commands[2] == "rpk cluster config set retention_bytes 1000"
        assert [command for command in commands if command.startswith("rpk security acl")] == [
            "rpk security acl delete --no-confirm --allow-principal User:dashboard",
            "rpk security acl delete --no-confirm --allow-principal User:producer",
            "rpk security acl create --allow-principal User:producer --operation write,describe --topic trades",
            "rpk security acl create --allow-principal User:producer --operation idempotent_write --cluster",
            "rpk security acl create --allow-principal User:dashboard --operation read,describe --topic trades",
            "rpk security acl create --allow-principal User:dashboard --operation read,describe --group dashboard",
        ]
        assert len([command for command in commands if command.startswith("sh -c")]) == 2
        assert "of-" not in machine.calls.read_text()  # no password is an argument
        passwords = (machine.folder / "passwords").read_text().splitlines()
        assert {"of-admin of-producer", "of-admin of-dashboard"} <= set(passwords)


class TestPullImage:
    def test_an_image_is_pulled_once_by_its_digest(self, machine: Machine) -> None:
        image = f"europe-west1-docker.pkg.dev/p/pipeline/redpanda:v25.3.1@sha256:{'0' * 64}"
        machine.stand_in("docker", '[ "$1" != image ]')
        machine.stand_in("docker-credential-gcr", "exit 0")
        machine.run(BROKER / "pull-image", machine.folder, environ={"IMAGE": image})
        assert machine.called("docker")[-1] == f"docker pull --quiet {image}"
        registry = "europe-west1-docker.pkg.dev"
        assert machine.called("docker-credential-gcr") == [
            f"docker-credential-gcr configure-docker --registries {registry}"
        ]
        machine.stand_in("docker", "exit 0")
        machine.run(BROKER / "pull-image", machine.folder, environ={"IMAGE": image})
        assert len([call for call in machine.called("docker") if " pull " in call]) == 1


class TestCandlesSecrets:
    ENVIRON: Mapping[str, str] = {  # not changed
        "KAFKA_PASSWORD_SECRET": "broker-candles/3",
        "KAFKA_CA_SECRET": "broker-ca/1",
        "POSTGRES_PASSWORD_SECRET": "postgres-candles/2",
        "POSTGRES_CA_SECRET": "postgres-ca/1",
        "PGHOST": "postgres.pipeline.internal",
        "PGDATABASE": "live",
        "PGUSER": "candles",
    }

    def test_secrets_are_the_files_that_the_job_reads(self, machine: Machine) -> None:
        machine.stand_in("gcloud", 'echo "version-$4-of-${5#--secret=}"')
        folder = machine.folder / "secrets"
        machine.run(CANDLES / "fetch-secrets", folder, environ=self.ENVIRON)
        # Its readers take both files as they are, without a line's end.
        assert (folder / "kafka-password").read_text() == "version-3-of-broker-candles"
        assert (folder / "pgpass").read_text() == (
            "postgres.pipeline.internal:5432:live:candles:version-2-of-postgres-candles"
        )
        assert (folder / "postgres-ca.pem").read_text() == "version-1-of-postgres-ca\n"
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}

    def test_a_secret_that_cannot_be_read_stops_the_start(self, machine: Machine) -> None:
        machine.stand_in("gcloud", "exit 1")
        with pytest.raises(subprocess.CalledProcessError):
            machine.run(CANDLES / "fetch-secrets", machine.folder / "secrets", environ=self.ENVIRON)


class TestCandlesInstall:
    """The initialization action, from the metadata to the started services."""

    @pytest.fixture
    def replaced(self, machine: Machine) -> dict[str, str]:
        root = machine.folder / "root"
        bundle, services = machine.folder / "bundle", machine.folder / "services"
        for path in (
            bundle,
            services,
            root / "usr/lib/flink/conf",
            root / "etc/systemd/system",
        ):
            path.mkdir(parents=True)
        shutil.copy(ROOT / "flink" / "candles" / "requirements.txt", bundle)
        for path in CANDLES.iterdir():
            shutil.copy(path, services)
        (root / "usr/lib/flink/conf/log4j.properties").write_text("of the machine")
        (root / "usr/lib/flink/conf/config.yaml").write_text("of the machine")
        shutil.make_archive(str(machine.folder / "zip"), "zip", bundle)
        metadata = root / "metadata"
        metadata.write_text(
            '#!/bin/bash\ncase $1 in attributes/dataproc-role) echo "${ROLE:-Master}" ;; '
            "attributes/candles-bundle) echo gs://a/bundle.zip ;; *) echo gs://f/services/1 ;; esac\n"
        )
        metadata.chmod(0o755)
        machine.stand_in(
            "gcloud",
            f'source={services}/*; [[ "$*" != *bundle* ]] || source={machine.folder}/zip.zip; cp $source "${{@: -1}}"',
        )
        machine.stand_in("useradd", "exit 0")
        machine.stand_in("systemctl", "exit 0")
        machine.stand_in("python3.12", "echo 3.12")
        return {
            "/usr/share/google/get_metadata_value": str(metadata),
            "/opt/candles": str(root / "opt/candles"),
            "/etc/candles": str(root / "etc/candles"),
            "/usr/lib/flink": str(root / "usr/lib/flink"),
            "/etc/systemd/system": str(root / "etc/systemd/system"),
        }

    def test_services_are_installed_and_started(self, machine: Machine, replaced: dict[str, str]) -> None:
        machine.run(CANDLES / "install", replaced=replaced)
        root = machine.folder / "root"
        units = {path.name for path in (root / "etc/systemd/system").iterdir()}
        assert units == {path.name for path in CANDLES.glob("*.service")}
        assert "exponential-delay" in (root / "etc/candles/conf/config.yaml").read_text()
        assert (root / "etc/candles/conf/log4j.properties").read_text() == "of the machine"
        [started] = [call for call in machine.called("systemctl") if "enable" in call]
        assert started.split()[3:] == [
            *("candles-secrets.service", "flink-jobmanager.service", "flink-taskmanager.service", "candles.service")
        ]
        programs = [(root / "opt/candles/bin" / name).readlink() for name in ("python", "python3")]
        assert [path.name for path in programs] == ["python3.12", "python3.12"]
        assert (root / "opt/candles/requirements.txt").exists()  # of the bundle

    def test_unused_services_of_the_image_are_stopped_for_good(
        self, machine: Machine, replaced: dict[str, str]
    ) -> None:
        machine.stand_in("systemctl", '[ "$1" != stop ]')  # the image has none of them
        machine.run(CANDLES / "install", replaced=replaced)
        [masked] = [call.split()[2:] for call in machine.called("systemctl") if call.split()[1] == "mask"]
        assert {"hadoop-yarn-resourcemanager", "hive-server2", "spark-history-server"} <= set(masked)
        assert [call.split()[2] for call in machine.called("systemctl") if call.split()[1] == "stop"] == masked

    def test_a_machine_with_another_python_is_an_error(self, machine: Machine, replaced: dict[str, str]) -> None:
        machine.stand_in("python3.12", "echo 3.13")
        machine.stand_in("python3", f'if [ "$1" = -c ]; then echo 3.13; else exec {sys.executable} "$@"; fi')
        with pytest.raises(subprocess.CalledProcessError) as error:
            machine.run(CANDLES / "install", replaced=replaced)
        assert "the machine has no Python 3.12" in error.value.stderr
        assert [call for call in machine.called("systemctl") if "enable" in call] == []

    def test_another_machine_than_the_master_gets_nothing(self, machine: Machine, replaced: dict[str, str]) -> None:
        machine.run(CANDLES / "install", replaced=replaced, environ={"ROLE": "Worker"})
        assert machine.called("systemctl") == []


def test_generated_values_are_those_that_bootstrap_takes() -> None:
    outcome = subprocess.run(
        [os.environ.get("PYTHON", str(ROOT / ".venv" / "bin" / "python")), "-m", "local.generated_secrets"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    values = json.loads(outcome.stdout)["generated"]
    assert set(values) == {"seed", "broker_tls"}
    assert len(base64.urlsafe_b64decode(values["seed"])) == 48
    assert re.findall("BEGIN ([A-Z ]+)-", values["broker_tls"]) == ["PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"]
