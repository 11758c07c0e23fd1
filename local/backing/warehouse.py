"""Makes the BigQuery dataset `market` with its tables and views, which Terraform makes in the cloud.

Imported by `local.stack` and by tests.
"""

from __future__ import annotations

from google.cloud import bigquery

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.adapters.bigquery import table_fields


def create_warehouse(client: bigquery.Client) -> None:
    """Make the dataset, tables and views of the core's schema files where they are absent; change none that exists."""
    client.create_dataset(names.DATASET, exists_ok=True)
    for name in schemas.tables():
        client.create_table(_table(client, name), exists_ok=True)
    for name in schemas.views():
        client.create_table(_view(client, name), exists_ok=True)


def _table(client: bigquery.Client, name: str) -> bigquery.Table:
    schema = schemas.table(name)
    table = bigquery.Table(f"{client.project}.{name}", table_fields(name))
    table.description = schema.description
    table.clustering_fields = list(schema.clustering) or None
    if schema.partition_field:
        table.time_partitioning = bigquery.TimePartitioning(field=schema.partition_field)
    return table


def _view(client: bigquery.Client, name: str) -> bigquery.Table:
    view = bigquery.Table(f"{client.project}.{name}")
    view.view_query = schemas.view_sql(name, client.project)
    return view
