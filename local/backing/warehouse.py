"""Makes the BigQuery dataset `market` with its tables and views, which Terraform makes in the cloud.

Imported by `local.stack` and by tests.
"""

from __future__ import annotations

from google.cloud import bigquery

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.adapters.bigquery import table_fields


def create_warehouse(client: bigquery.Client) -> None:
    """Make the dataset, tables and views of the core's schema files where they are absent, and renew older ones.

    A table of an older version gets the columns that it lacks; its rows have NULL there.
    """
    client.create_dataset(names.DATASET, exists_ok=True)
    for name in schemas.tables():
        table = _table(client, name)
        present = {field.name for field in client.create_table(table, exists_ok=True).schema}
        for field in table.schema:
            if field.name not in present:
                client.query_and_wait(f"ALTER TABLE `{name}` ADD COLUMN {field.name} {field.field_type}")
    for name in schemas.views():
        view = _view(client, name)
        if client.create_table(view, exists_ok=True).view_query != view.view_query:
            # The emulator's update changes only the text that it reports.
            client.delete_table(view)
            client.create_table(view)


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
