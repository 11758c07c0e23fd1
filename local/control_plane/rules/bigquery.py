"""Rules of BigQuery: datasets, tables and views.

https://cloud.google.com/bigquery/docs/reference/rest
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from local.control_plane.call import Call
from local.control_plane.catalogues import is_place
from local.control_plane.rules.registry import Rules
from local.control_plane.world import Resource, with_defaults

RULES: Final = Rules(names={"bigquery.datasets.insert": r"\w{1,1024}", "bigquery.tables.insert": r"[\w -]{1,1024}"})

_COLUMN_TYPES: Final = {
    *("STRING", "BYTES", "INTEGER", "INT64", "FLOAT", "FLOAT64", "NUMERIC", "BIGNUMERIC", "BOOLEAN", "BOOL"),
    *("TIMESTAMP", "DATE", "TIME", "DATETIME", "GEOGRAPHY", "JSON", "RECORD", "STRUCT", "RANGE", "INTERVAL"),
}
_MODES: Final = ("NULLABLE", "REQUIRED", "REPEATED")
_PARTITIONED_BY: Final = ("TIMESTAMP", "DATE", "DATETIME")

RULES.refuses("bigquery.datasets", "Invalid location", lambda call, r: not is_place(str(r.get("location", "US"))))
RULES.refuses(
    "bigquery.tables",
    "Invalid table name: legacy SQL has no `backticks` (use_legacy_sql = false)",
    lambda call, r: "`" in r.get("view", {}).get("query", "") and r["view"].get("useLegacySql", True),
)
RULES.refuses(
    "bigquery.tables",
    'Syntax error: Illegal input character "$"',
    lambda call, r: "${" in r.get("view", {}).get("query", ""),
)
RULES.refuses(
    "bigquery.tables",
    "Invalid value for type or mode of a column",
    lambda call, r: any(not _is_column(field) for field in _fields(r)),
)
RULES.refuses(
    "bigquery.tables",
    "The field specified for partitioning must be a column of type TIMESTAMP, DATE or DATETIME",
    lambda call, r: (name := r.get("timePartitioning", {}).get("field")) and not _is_partitioned_by(r, name),
)
RULES.refuses(
    "bigquery.tables",
    "The field specified for clustering is no column of the table",
    lambda call, r: set(r.get("clustering", {}).get("fields", ())) - {field.get("name") for field in _fields(r)},
)


@RULES.identifies("bigquery.datasets.insert")
def _dataset_key(call: Call, dataset: Resource) -> tuple[str, Resource]:
    return f"{call.key}/{dataset['datasetReference']['datasetId']}", dataset


@RULES.identifies("bigquery.tables.insert")
def _table_key(call: Call, table: Resource) -> tuple[str, Resource]:
    call.existing(call.key.removesuffix("/tables"))
    return f"{call.key}/{table['tableReference']['tableId']}", table


@RULES.completes("bigquery.datasets")
def _complete_dataset(call: Call, dataset: Resource, _key: str) -> None:
    reference = dataset["datasetReference"]
    reference["projectId"] = call.project
    dataset.update(id=f"{call.project}:{reference['datasetId']}", type="DEFAULT")
    dataset["location"] = _named_location(str(dataset.get("location", "US")))
    access = [
        {"role": "WRITER", "specialGroup": "projectWriters"},
        {"role": "OWNER", "specialGroup": "projectOwners"},
        {"role": "READER", "specialGroup": "projectReaders"},
    ]
    with_defaults(dataset, maxTimeTravelHours="168", access=access)


@RULES.completes("bigquery.tables")
def _complete_table(call: Call, table: Resource, key: str) -> None:
    reference = table["tableReference"]
    reference["projectId"] = call.project
    kind = "VIEW" if "view" in table else "TABLE"
    table.update(id=f"{call.project}:{reference['datasetId']}.{reference['tableId']}", type=kind)
    table["location"] = call.existing(key.partition("/tables/")[0])["location"]
    with_defaults(table, numBytes="0", numRows="0", schema={"fields": []})
    for field in _fields(table):
        with_defaults(field, mode="NULLABLE")


def _named_location(location: str) -> str:
    return location.upper() if location.upper() in ("US", "EU") else location.lower()


def _fields(table: Resource) -> Iterator[Resource]:
    yield from table.get("schema", {}).get("fields", ())


def _is_column(field: Resource) -> bool:
    nested = field.get("fields", ())
    return (
        field.get("type", "").upper() in _COLUMN_TYPES
        and field.get("mode", "NULLABLE").upper() in _MODES
        and bool(re.fullmatch(r"\w{1,300}", field.get("name", "")))
        and all(map(_is_column, nested))
    )


def _is_partitioned_by(table: Resource, name: str) -> bool:
    return any(field.get("name") == name and field["type"] in _PARTITIONED_BY for field in _fields(table))
