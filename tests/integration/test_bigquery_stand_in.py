"""The BigQuery stand-in after kill -9: what was committed is there, and no client waits for what died with it.

And which transactions conflict, with BigQuery's message.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.api_core.exceptions import BadRequest, GoogleAPICallError
from google.cloud import bigquery

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.adapters.bigquery import is_conflict, table_fields
from local.backing.interface import PROJECT
from local.backing.warehouse import create_warehouse
from tests.support.processes import RunningStack
from tests.support.stepped import new_session

# Minutes of work, so that it is surely still at work when it is killed.
ENDLESS = "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 200000)) AS a, UNNEST(GENERATE_ARRAY(1, 200000)) AS b"


INSERT = (
    "INSERT INTO market.ingests (symbol, date, status, batch_id, ingested_at) "
    "VALUES ('BTCUSDT', DATE '2020-03-25', 'loaded', 'b', CURRENT_TIMESTAMP())"
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningStack]:
    with RunningStack(tmp_path, ("bigquery",)) as running:
        yield running


def test_a_job_that_died_with_it_ends_with_an_error(running: RunningStack) -> None:
    create_warehouse(running.bigquery())
    running.bigquery().query_and_wait(INSERT)
    job = running.bigquery().query(ENDLESS, job_retry=None)
    assert job.state == "RUNNING"
    running.kill("bigquery")
    running.start("bigquery")
    again = running.bigquery().get_job(job.job_id)
    assert isinstance(again, bigquery.QueryJob)
    with pytest.raises(GoogleAPICallError, match="the emulator was restarted while it ran"):
        again.result(timeout=60, job_retry=None)
    rows = running.bigquery().query_and_wait("SELECT symbol, status FROM market.ingests")
    assert [tuple(row) for row in rows] == [("BTCUSDT", "loaded")]


def test_a_transaction_that_loses_a_conflict_gets_bigquery_s_message(running: RunningStack) -> None:
    client = running.bigquery()
    create_warehouse(client)
    client.query_and_wait(INSERT)
    first, second = (_session(client) for _ in range(2))
    for session in (first, second):
        for statement in ("BEGIN TRANSACTION", "DELETE FROM market.ingests WHERE symbol = 'BTCUSDT'"):
            client.query_and_wait(statement, job_config=session)
    client.query_and_wait("COMMIT TRANSACTION", job_config=first)
    with pytest.raises(BadRequest, match="Transaction is aborted due to concurrent update") as raised:
        client.query_and_wait("COMMIT TRANSACTION", job_config=second)
    assert is_conflict(raised.value)


def test_transactions_that_only_insert_both_commit_as_in_bigquery(running: RunningStack) -> None:
    client = running.bigquery()
    create_warehouse(client)
    sessions = [_session(client) for _ in range(2)]
    for statement in ("BEGIN TRANSACTION", INSERT, "COMMIT TRANSACTION"):
        for session in sessions:
            client.query_and_wait(statement, job_config=session)
    assert [tuple(row) for row in client.query_and_wait("SELECT symbol FROM market.ingests")] == [("BTCUSDT",)] * 2


def _session(client: bigquery.Client) -> bigquery.QueryJobConfig:
    return bigquery.QueryJobConfig(connection_properties=[new_session(client)])


def test_a_view_of_an_older_version_is_renewed(running: RunningStack) -> None:
    client = running.bigquery()
    client.create_dataset(names.DATASET)
    older = bigquery.Table(f"{PROJECT}.{names.CANDLES_BEST}")
    older.view_query = "SELECT 1 AS one"
    client.create_table(older)
    for _ in range(2):
        create_warehouse(client)
        assert client.get_table(older).view_query == schemas.view_sql(names.CANDLES_BEST, PROJECT)
        assert list(client.query_and_wait(f"SELECT symbol, open_time FROM {names.CANDLES_BEST}")) == []


def test_a_table_of_an_older_version_gets_its_new_columns(running: RunningStack) -> None:
    client = running.bigquery()
    client.create_dataset(names.DATASET, exists_ok=True)
    client.delete_table(names.INGESTS, not_found_ok=True)
    added = ("zero_size_rows", "unplaced_rows")
    client.create_table(bigquery.Table(f"{PROJECT}.{names.INGESTS}", table_fields(names.INGESTS, leave_out=added)))
    client.query_and_wait(INSERT)
    for _ in range(2):
        create_warehouse(client)
        [row] = client.query_and_wait(f"SELECT symbol, {', '.join(added)} FROM {names.INGESTS}")
        assert tuple(row) == ("BTCUSDT", None, None)


def test_the_first_loads_at_the_same_moment_both_succeed(tmp_path: Path) -> None:
    with RunningStack(tmp_path, ("gcs", "bigquery")) as running:
        bucket = running.storage().create_bucket("loads")
        create_warehouse(running.bigquery())
        bucket.blob("one.json").upload_from_string('{"table_name": "t"}')
        config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON")
        client, table = running.bigquery(), f"{PROJECT}.{names.LOCKS}"

        def load() -> None:
            running.bigquery().load_table_from_uri("gs://loads/one.json", table, job_config=config).result()

        with ThreadPoolExecutor(6) as pool:
            for loading in [pool.submit(load) for _ in range(6)]:
                loading.result()
        assert [tuple(row) for row in client.query_and_wait(f"SELECT COUNT(*) FROM {names.LOCKS}")] == [(6,)]
