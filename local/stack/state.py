"""What is written down about a stack that is up, in its home: `stack.json`, and the file of its trades' source.

Imported by the other modules of `local.stack`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from bitcoin_pipeline.settings import read_settings
from local.stack.config import StackConfig
from local.stack.options import Options, SyntheticMarket
from local.stack.supervision import Supervisor

STATE_FILE: Final = "stack.json"
SOURCE_FILE: Final = "source"
"""File that holds where the trades of the data came from; it is kept as long as the data."""
BACKING_FILE: Final = "backing"
"""File that holds how the services run that keep the data; it is kept as long as the data."""


class StackError(RuntimeError):
    """The stack cannot do what was requested; the message contains what to do."""


@dataclass(frozen=True, slots=True)
class StackState:
    """A stack that was started. `ports`: those of its configuration, and the supervisor's.

    `pubsub`: the path of the Pub/Sub emulator's jar, or None.
    """

    options: Options
    ports: Mapping[str, int]
    password: str
    pubsub: str | None

    def config(self, home: Path) -> StackConfig:
        """The configuration of the stack in `home`."""
        options = self.options
        return StackConfig(
            home,
            self.ports,
            Path(options.archive_dir) if options.archive_dir else None,
            Path(options.capture) if options.capture else None,
            1.0 if options.speed is None else options.speed,
            read_settings(SyntheticMarket, options.synthetic),
            options.bybit,
            Path(self.pubsub) if self.pubsub else None,
            options.airflow,
            Path(options.add_files) if options.add_files else None,
            options.images,
        )

    def supervisor(self, home: Path) -> Supervisor:
        """The supervisor of the stack in `home`."""
        return Supervisor(home, self.ports["supervisor"], self.password)


def read_state(home: Path) -> StackState | None:
    """The state of the stack in `home`, running or not; None where there is none."""
    try:
        state = json.loads((home / STATE_FILE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return StackState(_options(state["options"]), state["ports"], state["password"], state.get("pubsub"))


def _options(values: Mapping[str, Any]) -> Options:
    # An earlier version may have had other options; its stack can still be shown and taken down.
    return Options(**{item.name: values[item.name] for item in fields(Options) if item.name in values})


def write_state(home: Path, state: StackState) -> None:
    """Replace the state of the stack in `home`."""
    write_atomically(home / STATE_FILE, json.dumps(asdict(state), indent=2))


def claim_source(home: Path, source: str) -> None:
    """Record that the data in `home` are of `source`: real and synthetic trades would share topics, tables and candles.

    Raises StackError when they are of another one.
    """
    file = home / SOURCE_FILE
    earlier = file.read_text() if file.exists() else source
    if earlier != source:
        raise StackError(
            f"the data in {home} came from --source {earlier}, and {source}'s would mix with it; "
            "run `pipeline down --remove-data` first, or choose another PIPELINE_HOME"
        )
    write_atomically(file, source)


def claim_backing(home: Path, backing: str) -> None:
    """Record that the data in `home` are kept by services that run so. Raises StackError when others keep them."""
    file = home / BACKING_FILE
    earlier = file.read_text() if file.exists() else backing
    if earlier != backing:
        raise StackError(
            f"the data in {home} are kept by --backing {earlier}; "
            "run `pipeline down --remove-data` first, or choose another PIPELINE_HOME"
        )
    write_atomically(file, backing)


def write_atomically(path: Path, text: str) -> None:
    """Write a file that only its owner can read; a reader finds the old content or the new."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.replace(path)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that it holds, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
