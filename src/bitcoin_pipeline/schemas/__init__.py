"""The tables' schemas, as files that Terraform, Spark, the stand-ins and the tests read alike.

`market/<table>.json` holds a BigQuery table: fields in BigQuery's own JSON form, partitioning and clustering.
`market/<view>.sql` holds a view. `lake/trades.json` holds the columns of the Parquet trades, in the same form, and
`lake/trades_live.json` those of what was seen live.
`postgres/live.sql` makes the live plane's tables; `topics.json` holds the broker's topics.
Part of the core; anybody may import it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """A table's schema. `fields`: BigQuery's JSON form (name, type, mode, description), in order."""

    fields: tuple[dict[str, Any], ...]
    description: str
    partition_field: str | None = None
    clustering: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in order."""
        return tuple(field["name"] for field in self.fields)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the broker. `config`: Kafka's own words."""

    name: str
    partitions: int
    config: dict[str, str]


def table(name: str) -> Table:
    """The schema of `market.candles`, `lake.trades` and so on. Raises FileNotFoundError for an unknown name."""
    folder, _, file = name.partition(".")
    content = json.loads(files(__name__).joinpath(folder, f"{file}.json").read_text("utf-8"))
    return Table(
        fields=tuple(content["fields"]),
        description=content["description"],
        partition_field=content.get("partition_field"),
        clustering=tuple(content.get("clustering", ())),
    )


def tables(folder: str = "market") -> list[str]:
    """The names of all tables in `folder`, such as `market.candles`."""
    names = (entry.name for entry in files(__name__).joinpath(folder).iterdir())
    return sorted(f"{folder}.{name.removesuffix('.json')}" for name in names if name.endswith(".json"))


def view_sql(name: str) -> str:
    """The query of the view `market.candles_best` and so on. Raises FileNotFoundError for an unknown name."""
    folder, _, file = name.partition(".")
    return files(__name__).joinpath(folder, f"{file}.sql").read_text("utf-8")


def views(folder: str = "market") -> list[str]:
    """The names of all views in `folder`."""
    names = (entry.name for entry in files(__name__).joinpath(folder).iterdir())
    return sorted(f"{folder}.{name.removesuffix('.sql')}" for name in names if name.endswith(".sql"))


def live_sql() -> str:
    """The statements that make the live plane's tables in Postgres; they may be run again."""
    return files(__name__).joinpath("postgres", "live.sql").read_text("utf-8")


def topics() -> list[Topic]:
    """The broker's topics."""
    content = json.loads(files(__name__).joinpath("topics.json").read_text("utf-8"))
    return [Topic(name, item["partitions"], item["config"]) for name, item in content.items()]
