"""Schemas of tables, views and topics, as files that Terraform, the deployables, the stand-ins and the tests read.

`market/<table>.json` is a BigQuery table: fields in BigQuery's own JSON form, partitioning and clustering.
`market/<view>.sql` is a view. `lake/trades.json` has the columns of the archive's trades in Parquet, in the same form,
and `lake/trades_live.json` those of the trades seen live. `statements/` has the SQL that several deployables send to
BigQuery. `postgres/live.sql` makes the live plane's tables and roles; `topics.json` has the broker's topics, and
`functions.json` the limits of the functions.
Candles and their history are partitioned by day, because the batch, the live merge every two minutes and the readers
address days: a statement reads 0.4 MB a day and symbol, where a month would be 12 MB. BigQuery's limits of 10,000
partitions a table and 4,000 a job are far away.
Part of the core; any module may import it.
"""

from __future__ import annotations

import json
import string
from dataclasses import dataclass, fields
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
    """A topic of the broker. `config`: settings of the topic by Kafka's own names."""

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


def view_sql(name: str, project: str, condition: str = "TRUE", columns: str = "") -> str:
    """The query of the view `market.candles_best` and so on, over the tables of `project`.

    A reader sends the query with its own `condition` on the rows of the table, by which BigQuery surely prunes
    partitions; the view itself has none. `columns`: further columns of a reader, each after a comma. Raises
    FileNotFoundError for an unknown name.
    """
    folder, _, file = name.partition(".")
    text = files(__name__).joinpath(folder, f"{file}.sql").read_text("utf-8")
    return string.Template(text).substitute(project=project, condition=condition, columns=columns)


def views(folder: str = "market") -> list[str]:
    """The names of all views in `folder`."""
    names = (entry.name for entry in files(__name__).joinpath(folder).iterdir())
    return sorted(f"{folder}.{name.removesuffix('.sql')}" for name in names if name.endswith(".sql"))


@dataclass(frozen=True, slots=True)
class CandleReplacement:
    """What `sql` replaces: candles of one source, by the rows of the table `fresh`, which has unique keys.

    Four fields are conditions on a row `stored` of `market.candles`. `in_reach`: the rows that the statements may read
    and touch; it prunes partitions and fixes the source. `replaceable`: those of them of whose keys `fresh` has every
    row to keep. `outdated`: those of the replaceable ones that are deleted, as are all whose key is stored more than
    once. `kept`: the replaceable ones whose values the history keeps; empty for the outdated ones. `updated_at`: an
    expression for that column of a fresh row. `prepare`, `finish`: further statements of the transaction.
    """

    fresh: str
    in_reach: str
    outdated: str
    updated_at: str
    replaceable: str = "TRUE"
    kept: str = ""
    prepare: str = ""
    finish: str = ""

    def sql(self) -> str:
        """A BigQuery script with the parameters now (TIMESTAMP) and run (STRING).

        It is one transaction, which conflicts with that of every other script of this function.
        """
        columns = ", ".join(name for name in table("market.candles").names if name != "updated_at")
        text = files(__name__).joinpath("statements", "replace_candles.sql").read_text("utf-8")
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {"columns": columns, "doubled": doubled_candle_sql(self.in_reach), "kept": self.kept or self.outdated}
        return string.Template(text).substitute(values)


def doubled_candle_sql(in_reach: str) -> str:
    """A condition on a row `stored` of `market.candles`: true when several rows among those in reach have its key."""
    return f"""EXISTS (
  SELECT 1 FROM (
    SELECT symbol, open_time, source FROM `market.candles` AS stored
    WHERE ({in_reach}) GROUP BY symbol, open_time, source HAVING COUNT(*) > 1
  ) AS doubled
  WHERE doubled.symbol = stored.symbol AND doubled.open_time = stored.open_time AND doubled.source = stored.source
)"""  # noqa: S608  # the names are our own, the values bound


def live_sql() -> str:
    """The statements that make the live plane's tables and roles in Postgres; a second run changes nothing."""
    return files(__name__).joinpath("postgres", "live.sql").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class FunctionLimits:
    """What Terraform sets for a Cloud Function, and what its code relies on.

    `timeout_seconds`: of one request (Google's default is 60), and the scheduler's `attempt_deadline` (3 minutes by
    default); every function ends its work before it, and a caller waits no shorter. `concurrency`: requests that one
    instance handles at once; more than 1 needs a whole vCPU. `memory_mib`: of an instance.
    """

    timeout_seconds: int
    concurrency: int
    memory_mib: int


def function_limits(name: str) -> FunctionLimits:
    """The limits of the function `fetch_archive` and so on."""
    content = json.loads(files(__name__).joinpath("functions.json").read_text("utf-8"))
    return FunctionLimits(**content[name])


def function_timeout_s(name: str) -> int:
    """The `timeout_seconds` of the function `fetch_archive` and so on."""
    return function_limits(name).timeout_seconds


def topics() -> list[Topic]:
    """The broker's topics."""
    content = json.loads(files(__name__).joinpath("topics.json").read_text("utf-8"))
    return [Topic(name, item["partitions"], item["config"]) for name, item in content.items()]
