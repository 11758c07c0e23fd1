"""Small files in the place of the artifacts of `make build`. For tests."""

from __future__ import annotations

from pathlib import Path

from local.deploy.artifacts import BATCH, FLINK, FUNCTIONS, IMAGES


def write_dist(folder: Path) -> None:
    """Write an artifact of each name; its content is its name."""
    names = [f"functions/{name}.zip" for name in FUNCTIONS] + [f"{FLINK}.zip"]
    names += [f"{BATCH}/main.py", f"{BATCH}/candles_batch.zip", "composer_dags/bybit_daily.py"]
    names += [f"cloudrun/{name}/main.py" for name in IMAGES]
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.removesuffix(".zip").encode())
