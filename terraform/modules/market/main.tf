# The dataset `market`, with a table for each JSON file and a view for each SQL file of the core's schemas.
locals {
  schemas = "${path.module}/../../../src/bitcoin_pipeline/schemas/market"
  tables  = { for file in fileset(local.schemas, "*.json") : trimsuffix(file, ".json") => jsondecode(file("${local.schemas}/${file}")) }
  views   = { for file in fileset(local.schemas, "*.sql") : trimsuffix(file, ".sql") => file("${local.schemas}/${file}") }
}

resource "google_bigquery_dataset" "market" {
  #checkov:skip=CKV_GCP_81:public market data; Google's own encryption at rest needs no key of ours
  project                    = var.project
  dataset_id                 = "market"
  location                   = var.location
  description                = "Candles of Bybit's trades, and how far each can be trusted"
  delete_contents_on_destroy = !var.protected
  max_time_travel_hours      = "168"
  labels                     = var.labels
}

resource "google_bigquery_table" "table" {
  #checkov:skip=CKV_GCP_80:public market data; Google's own encryption at rest needs no key of ours
  #checkov:skip=CKV_GCP_121:deletion_protection is the variable protected, true unless the environment is to be destroyed
  for_each            = local.tables
  project             = var.project
  dataset_id          = google_bigquery_dataset.market.dataset_id
  table_id            = each.key
  description         = each.value.description
  schema              = jsonencode(each.value.fields)
  clustering          = try(each.value.clustering, null)
  deletion_protection = var.protected
  labels              = var.labels

  dynamic "time_partitioning" {
    for_each = try([each.value.partition_field], [])
    content {
      type  = "DAY"
      field = time_partitioning.value
    }
  }
}

resource "google_bigquery_table" "view" {
  #checkov:skip=CKV_GCP_80:a view holds no data
  #checkov:skip=CKV_GCP_121:a view holds no data
  for_each            = local.views
  project             = var.project
  dataset_id          = google_bigquery_dataset.market.dataset_id
  table_id            = each.key
  deletion_protection = false
  labels              = var.labels

  view {
    query          = replace(replace(replace(each.value, "$${project}", var.project), "$${condition}", "TRUE"), "$${columns}", "")
    use_legacy_sql = false
  }

  depends_on = [google_bigquery_table.table]
}

resource "google_bigquery_dataset_iam_member" "reader" {
  for_each   = var.readers
  project    = var.project
  dataset_id = google_bigquery_dataset.market.dataset_id
  role       = "roles/bigquery.dataViewer"
  member     = each.value
}

resource "google_bigquery_dataset_iam_member" "writer" {
  for_each   = var.writers
  project    = var.project
  dataset_id = google_bigquery_dataset.market.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = each.value
}

resource "google_cloud_quotas_quota_preference" "queries" {
  count         = var.query_mib_a_day == null ? 0 : 1
  parent        = "projects/${var.project}"
  name          = "bigquery-query-usage-per-day"
  service       = "bigquery.googleapis.com"
  quota_id      = "QueryUsagePerDay"
  contact_email = var.quota_contact

  quota_config {
    preferred_value = var.query_mib_a_day
  }

  # Google refuses to take a quota far below what was used; the number is ours and meant.
  ignore_safety_checks = "QUOTA_DECREASE_PERCENTAGE_TOO_HIGH"
}
