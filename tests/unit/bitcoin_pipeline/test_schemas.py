"""The schema files: tables and topics agree with the core's types and names, and the SQL does what it is for."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import duckdb
import pytest

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.candle import COMPLETE, Candle, Source, Status, precedence_sql
from bitcoin_pipeline.ingests import IngestStatus

TYPES = {"STRING", "TIMESTAMP", "NUMERIC", "INTEGER", "DATE", "BYTES", "BOOLEAN"}
ALL_TABLES = [*schemas.tables("market"), *schemas.tables("lake")]


def columns_of(kind: type) -> list[str]:
    """The names of columns for a dataclass's fields: the unit is in a column's type and not in its name."""
    return [field.name.removesuffix("_us") for field in dataclasses.fields(kind)]


def test_tables_and_views_are_those_that_names_spells() -> None:
    assert schemas.tables() == sorted([names.CANDLES, names.CANDLE_HISTORY, names.GAPS, names.INGESTS, names.LOCKS])
    assert schemas.views() == [names.CANDLES_BEST]


def test_live_trades_are_trades_with_a_sequence() -> None:
    assert schemas.table("lake.trades_live").names == (*schemas.table("lake.trades").names, "seq")


def test_candles_are_the_fields_of_a_candle_and_when_they_were_written() -> None:
    assert list(schemas.table(names.CANDLES).names) == [*columns_of(Candle), "updated_at"]


def test_history_is_candles_and_what_replaced_them() -> None:
    candles, history = schemas.table(names.CANDLES), schemas.table(names.CANDLE_HISTORY)
    assert history.fields[:-2] == candles.fields
    assert history.names[-2:] == ("replaced_at", "replaced_by")
    assert (history.partition_field, history.clustering) == (candles.partition_field, candles.clustering)


def test_what_a_candle_may_lack_is_what_a_column_may_lack() -> None:
    optional = {field.name for field in dataclasses.fields(Candle) if "None" in str(field.type)}
    nullable = {field["name"] for field in schemas.table(names.CANDLES).fields if field["mode"] == "NULLABLE"}
    assert nullable == optional


def test_amounts_are_numeric_and_never_float() -> None:
    decimals = {field.name for field in dataclasses.fields(Candle) if "Decimal" in str(field.type)}
    numeric = {field["name"] for field in schemas.table(names.CANDLES).fields if field["type"] == "NUMERIC"}
    assert numeric == decimals


@pytest.mark.parametrize("name", ALL_TABLES)
def test_every_table_is_written_in_bigquerys_own_words(name: str) -> None:
    table = schemas.table(name)
    assert table.description
    assert len(set(table.names)) == len(table.names)
    assert {*table.clustering, *filter(None, [table.partition_field])} <= set(table.names)
    for field in table.fields:
        assert set(field) == {"name", "type", "mode", "description"}
        assert field["type"] in TYPES
        assert field["mode"] in {"REQUIRED", "NULLABLE"}
        assert field["description"]
        assert re.fullmatch(r"[a-z][a-z0-9_]*", field["name"])


def test_words_of_a_column_are_those_of_the_code() -> None:
    descriptions = {field["name"]: field["description"] for field in schemas.table(names.CANDLES).fields}
    assert re.findall(r"[a-z]+", descriptions["source"].replace(" or ", " ")) == list(Source)
    assert re.findall(r"[a-z]+", descriptions["status"].replace(" or ", " ")) == list(Status)
    ingests = {field["name"]: field["description"] for field in schemas.table(names.INGESTS).fields}
    assert re.findall(r"[a-z_]+", ingests["status"].replace(" or ", " ")) == list(IngestStatus)


def test_an_unknown_table_or_view_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        schemas.table("market.nothing")
    with pytest.raises(FileNotFoundError):
        schemas.view_sql("market.nothing", "project")


RANKED = [("archive", "final"), ("live", "repaired"), ("kline", "final"), ("archive", "partial"), ("live", "partial")]


def test_best_is_by_status_then_by_source() -> None:
    with duckdb.connect() as database:
        _fill_best(database)
        for minute in range(len(RANKED)):
            # A source has one row a minute: the best of those that rank from `minute` on.
            for source, status in dict(reversed(RANKED[minute:])).items():
                database.execute("INSERT INTO p.market.candles VALUES ('BTCUSDT', ?, ?, ?)", [minute, source, status])
        chosen = database.execute(f"SELECT source, status FROM ({_best()}) ORDER BY open_time").fetchall()
    assert chosen == RANKED


def test_best_is_the_whole_live_candle_where_the_archive_s_is_partial() -> None:
    """The case `best_takes_partial_archive_over_final_live`."""
    with duckdb.connect() as database:
        _fill_best(database)
        database.execute(
            "INSERT INTO p.market.candles VALUES ('BTCUSDT', 0, 'archive', 'partial'), ('BTCUSDT', 0, 'live', 'final')"
        )
        assert database.execute(f"SELECT source, status FROM ({_best()})").fetchall() == [("live", "final")]


def test_best_ranks_sources_as_the_core_does() -> None:
    ranking = precedence_sql("status IN ('final', 'repaired')")
    assert ranking.startswith("CASE WHEN source = 'archive' AND status IN ('final', 'repaired') THEN 1 WHEN source = ")
    assert ranking in " ".join(_best().split())
    assert COMPLETE == (Status.FINAL, Status.REPAIRED)


def test_views_name_their_project() -> None:
    """BigQuery's API refuses a view whose tables are named without a project."""
    for name in schemas.views():
        tables = re.findall(r"FROM `([^`]+)`", schemas.view_sql(name, "my-project"))
        assert tables
        assert all(re.fullmatch(r"my-project\.market\.[a-z_]+", table) for table in tables)


# DuckDB, which the stand-in runs on, puts the filter into the scan itself, below the ranking.
@pytest.mark.parametrize("column", ["open_time", "symbol"])
@pytest.mark.parametrize("reader", ["of the view", "of the query"])
def test_best_filters_by_its_keys_before_it_ranks(reader: str, column: str) -> None:
    value = "5" if column == "open_time" else "'BTCUSDT'"
    condition = f"{column} = {value}"
    query = f"SELECT * FROM ({_best()}) WHERE {condition}" if reader == "of the view" else _best(condition)
    *_, scan = _plan(query)
    assert scan["name"].strip() == "SEQ_SCAN"
    assert condition in scan["extra_info"]["Filters"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM ({best}) WHERE open_time >= 3 AND open_time < 6",
        "SELECT symbol, max(open_time) FROM ({best}) WHERE open_time BETWEEN 3 AND 5 GROUP BY symbol",
        "SELECT open_time // 2 AS longer, count(*) FROM ({best}) AS b WHERE symbol = 'BTCUSDT' AND open_time >= 3"
        " AND open_time < 6 GROUP BY longer",
        "WITH best AS ({best}) SELECT count(*) FROM best WHERE open_time >= 3 AND open_time < 6 AND status = 'final'",
    ],
)
def test_a_range_of_time_outside_of_best_reaches_every_scan(query: str) -> None:
    # DuckDB may fetch the remaining columns of the chosen rows by a second scan.
    scans = [step["extra_info"]["Filters"] for step in _plan(query.format(best=_best())) if "SCAN" in step["name"]]
    assert scans
    assert all(re.search(r"open_time ?>= ?3\b.*open_time ?<(= ?5| ?6)\b", str(filters)) for filters in scans)


def test_best_has_one_scan_and_ranks_within_the_columns_that_prune() -> None:
    """A second scan, by a join, would be pruned by no condition on the first."""
    table = schemas.table(names.CANDLES)
    text = re.sub(r"--.*", "", schemas.view_sql(names.CANDLES_BEST, "p"))
    assert len(re.findall(r"\b(?:FROM|JOIN)\b", text)) == 1
    [partition] = re.findall(r"PARTITION BY ([\w, ]+?)\s+ORDER BY", text)
    assert set(partition.split(", ")) == {table.partition_field, *table.clustering}


def test_best_filters_by_other_columns_after_it_ranked() -> None:
    *_, scan = _plan(f"SELECT * FROM ({_best()}) WHERE status = 'final'")
    assert "Filters" not in scan["extra_info"]


def _plan(query: str) -> list[dict[str, Any]]:
    """The steps of DuckDB's plan, from the result to the scan."""
    with duckdb.connect() as database:
        _fill_best(database)
        database.execute(
            "INSERT INTO p.market.candles SELECT symbol, unnest(range(10)), 'live', status"
            " FROM (VALUES ('BTCUSDT', 'final'), ('ETHUSDT', 'partial')) AS v(symbol, status)"
        )
        [(_, plan)] = database.execute(f"EXPLAIN (FORMAT json) {query}").fetchall()
    return _chain(json.loads(plan)[0])


def _chain(step: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan of one branch from its result to its scan."""
    return [step, *(below for child in step["children"] for below in _chain(child))]


def _best(condition: str = "TRUE") -> str:
    return schemas.view_sql(names.CANDLES_BEST, "p", condition).replace("`", "")


def _fill_best(database: duckdb.DuckDBPyConnection) -> None:
    database.execute("ATTACH ':memory:' AS p")
    database.execute("CREATE SCHEMA p.market")
    database.execute("CREATE TABLE p.market.candles (symbol TEXT, open_time INTEGER, source TEXT, status TEXT)")


def test_candles_are_replaced_and_what_goes_is_kept() -> None:
    # Stored rows by minute: 1 stays, 2 changes, 3 is deleted, 4 is of another source. Fresh rows: 1, 2, 5.
    statements = schemas.CandleReplacement(
        fresh="fresh", in_reach="stored.source = 'archive'", outdated=DIFFERS, updated_at="@now"
    ).sql()
    assert _replaced(statements) == (
        [(1, "archive", 10, "old"), (2, "archive", 21, "now"), (4, "live", 40, "old"), (5, "archive", 50, "now")],
        [(2, 20, "old", "now", "run"), (3, 30, "old", "now", "run")],
    )


def test_the_history_may_keep_fewer_than_go() -> None:
    statements = schemas.CandleReplacement(
        fresh="fresh",
        in_reach="stored.source = 'archive'",
        outdated="TRUE",
        updated_at="'new'",
        kept="stored.close > 20",
    ).sql()
    assert _replaced(statements) == (
        [(1, "archive", 10, "new"), (2, "archive", 21, "new"), (4, "live", 40, "old"), (5, "archive", 50, "new")],
        [(3, 30, "old", "now", "run")],
    )


def test_doubles_become_one_row_where_rows_are_replaceable() -> None:
    # Minute 1 is stored twice with the fresh values, minute 2 twice with other values, minute 3 may not be replaced.
    statements = schemas.CandleReplacement(
        fresh="fresh",
        in_reach="stored.source = 'archive'",
        replaceable="stored.open_time <> 3",
        outdated=DIFFERS,
        updated_at="@now",
    ).sql()
    doubles = "(1, 'archive', 10), (2, 'archive', 20), (2, 'archive', 20), (3, 'archive', 30)"
    assert _replaced(statements, doubles) == (
        [
            *((1, "archive", 10, "now"), (2, "archive", 21, "now"), (3, "archive", 30, "old")),
            *((3, "archive", 30, "old"), (4, "live", 40, "old"), (5, "archive", 50, "now")),
        ],
        [(2, 20, "old", "now", "run")],
    )


def test_a_lock_without_its_row_gets_one_and_keeps_it() -> None:
    statements = schemas.CandleReplacement(fresh="fresh", in_reach="TRUE", outdated="TRUE", updated_at="@now").sql()
    with duckdb.connect() as database:
        _fill(database, "(1, 'archive', 10)")
        for _ in range(2):
            database.execute(_bound(statements))
        rows = database.execute(f"SELECT table_name, locked_by, locked_at FROM {names.LOCKS}").fetchall()
    assert rows == [(names.CANDLES, "run", "now")]


def test_the_lock_is_taken_before_the_transaction_reads_anything() -> None:
    statements = schemas.CandleReplacement(fresh="f", in_reach="TRUE", outdated="TRUE", updated_at="@now").sql()
    _, _, transaction = statements.partition("BEGIN TRANSACTION;\n")
    assert transaction.startswith(f"UPDATE `{names.LOCKS}` SET locked_by = @run, locked_at = @now WHERE table_name = ")


DIFFERS = "NOT EXISTS (SELECT 1 FROM fresh AS new WHERE new.open_time = stored.open_time AND new.close = stored.close)"


def _replaced(statements: str, more: str = "") -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """The candles (open time, source, close, time of the write) and the history after `statements`, in DuckDB."""
    stored = "(1, 'archive', 10), (2, 'archive', 20), (3, 'archive', 30), (4, 'live', 40)"
    with duckdb.connect() as database:
        _fill(database, f"{stored}, {more}" if more else stored)
        database.execute(_bound(statements))
        candles = database.execute(
            f"SELECT open_time, source, close, updated_at FROM {names.CANDLES} ORDER BY ALL"
        ).fetchall()
        history = database.execute(
            f"SELECT open_time, close, updated_at, replaced_at, replaced_by FROM {names.CANDLE_HISTORY} ORDER BY ALL"
        ).fetchall()
    return candles, history


def _bound(statements: str) -> str:
    return statements.replace("`", "").replace("@now", "'now'").replace("@run", "'run'")


def _fill(database: duckdb.DuckDBPyConnection, stored: str) -> None:
    columns = [name for name in schemas.table(names.CANDLES).names if name not in ("open_time", "source", "close")]
    rest = ", ".join(f"'old' AS {name}" for name in columns)
    database.execute("CREATE SCHEMA market")
    for table, values in (
        (names.CANDLES, stored),
        ("fresh", "(1, 'archive', 10), (2, 'archive', 21), (5, 'archive', 50)"),
    ):
        database.execute(
            f"CREATE TABLE {table} AS SELECT *, {rest} FROM (VALUES {values}) AS v(open_time, source, close)"
        )
    extra = "'' AS replaced_at, '' AS replaced_by"
    database.execute(f"CREATE TABLE {names.CANDLE_HISTORY} AS SELECT *, {extra} FROM {names.CANDLES} LIMIT 0")
    database.execute(f"CREATE TABLE {names.LOCKS} (table_name TEXT, locked_by TEXT, locked_at TEXT)")


def test_postgres_holds_the_columns_of_candles() -> None:
    types = {
        "STRING": "text",
        "TIMESTAMP": "timestamptz",
        "NUMERIC": "numeric(38, 9)",
        "INTEGER": "bigint",
        "BOOLEAN": "boolean",
    }
    body = re.search(r"TABLE IF NOT EXISTS candles \((.*?)\n\);", schemas.live_sql(), re.DOTALL)
    assert body
    found = re.findall(r"^  ([a-z_]+) ([a-z]+(?:\(38, 9\))?)( NOT NULL)?", body[1], re.MULTILINE)
    wanted = [
        (field["name"], types[field["type"]], " NOT NULL" if field["mode"] == "REQUIRED" else "")
        for field in schemas.table(names.CANDLES).fields
    ]
    assert sorted(found) == sorted(wanted)


def test_postgres_ranks_status_as_the_core_does() -> None:
    ranked = re.search(r"array_position\(ARRAY\[(.*?)\]", schemas.live_sql())
    assert ranked
    assert re.findall(r"[a-z]+", ranked[1]) == sorted(Status, key=lambda status: status.rank)


def test_topics_are_those_that_names_spells() -> None:
    topics = {topic.name: topic for topic in schemas.topics()}
    assert set(topics) == {names.TRADES_TOPIC, names.DEAD_LETTER_TOPIC, names.REPLAY_TOPIC}
    trades = topics[names.TRADES_TOPIC]
    assert trades.partitions == 4
    assert trades.config == {"retention.ms": str(7 * 86_400_000), "message.timestamp.type": "LogAppendTime"}
