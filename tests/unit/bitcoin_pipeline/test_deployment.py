"""The settings of a program that loads days, and the batch job that follows from them."""

from __future__ import annotations

from bitcoin_pipeline.batches import CandlesJob
from bitcoin_pipeline.deployment import BackfillSettings
from bitcoin_pipeline.settings import read_settings

ENVIRON = {
    "GOOGLE_CLOUD_PROJECT": "production",
    "PIPELINE_REGION": "europe-west1",
    "PIPELINE_LAKE": "lake",
    "BIGQUERY_LOCATION": "EU",
    "PIPELINE_FETCH_ARCHIVE_URL": "https://fetch-archive.example",
    "PIPELINE_STAGING": "staging",
    "PIPELINE_CANDLES_JOB": "gs://artifacts/candles/main.py",
    "PIPELINE_CANDLES_JOB_FILES": "gs://artifacts/candles/a.zip,gs://artifacts/candles/b.zip",
    "PIPELINE_JOB_ACCOUNT": "batch@production.example",
}


def test_the_batch_job_follows_from_the_settings() -> None:
    assert read_settings(BackfillSettings, ENVIRON).batch_job() == CandlesJob(
        project="production",
        lake="lake",
        main_uri="gs://artifacts/candles/main.py",
        file_uris=("gs://artifacts/candles/a.zip", "gs://artifacts/candles/b.zip"),
        service_account="batch@production.example",
        staging="staging",
        location="EU",
    )
