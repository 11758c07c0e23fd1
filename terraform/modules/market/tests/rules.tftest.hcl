# Tables and views are those of the core.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project   = "demo-project"
  location  = "europe-west1"
  protected = true
  labels    = {}
}

run "tables_are_protected_and_partitioned" {
  assert {
    condition     = alltrue([for table in google_bigquery_table.table : table.deletion_protection])
    error_message = "a table with data must survive"
  }
  assert {
    condition     = google_bigquery_table.table["candles"].time_partitioning[0].field == "open_time" && google_bigquery_table.table["candles"].time_partitioning[0].type == "DAY"
    error_message = "candles are partitioned by day"
  }
  assert {
    condition     = length(google_bigquery_table.table["ingests"].time_partitioning) == 0
    error_message = "ingests has no partitions"
  }
  assert {
    condition     = google_bigquery_table.table["candles"].clustering == tolist(["symbol"])
    error_message = "candles are clustered by symbol"
  }
}

run "views_are_of_todays_sql" {
  assert {
    condition     = !google_bigquery_table.view["candles_best"].view[0].use_legacy_sql
    error_message = "backticks are no legacy SQL"
  }
  assert {
    condition     = !can(regex("[$][{]", google_bigquery_table.view["candles_best"].view[0].query))
    error_message = "no placeholder is left"
  }
}

run "a_quota_below_one_days_queries_is_refused" {
  command = plan
  variables {
    query_mib_a_day = 1000
  }
  expect_failures = [var.query_mib_a_day]
}

run "a_quota_is_set" {
  variables {
    query_mib_a_day = 1048576
    quota_contact   = "ops@example.com"
  }
  assert {
    condition     = google_cloud_quotas_quota_preference.queries[0].quota_config[0].preferred_value == "1048576"
    error_message = "the quota is the given one"
  }
}
