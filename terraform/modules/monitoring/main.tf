# What looks after the pipeline: figures from its log lines, alerts on them by email, and one page of charts. The phrases are
# those of the programs' log lines; tests/terraform finds each of them in the sources.
locals {
  producer = "resource.type=\"cloud_run_worker_pool\" AND resource.labels.worker_pool_name=\"producer\""

  live_metrics = {
    feed-lag-ms = {
      description = "Age of what is proven of the slowest connection, in milliseconds; a sample each minute"
      filter      = "${local.producer} AND jsonPayload.message=\"metrics\""
      value       = "EXTRACT(jsonPayload.lag_ms)"
    }
    gaps-opened = {
      description = "Gaps that the producer opened: times in which trades may be missing"
      filter      = "${local.producer} AND jsonPayload.message=\"gap opened\""
      value       = null
    }
    minutes-not-confirmed = {
      description = "Changes to minutes that the exchange's own kline does not confirm"
      filter      = "${local.producer} AND jsonPayload.message=\"minute not confirmed\""
      value       = null
    }
    candles-published = {
      description = "Transactions that brought live candles to BigQuery"
      filter      = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"publish-live\" AND jsonPayload.message=\"candles published\""
      value       = null
    }
  }

  history_metrics = {
    days-failed = {
      description = "Batches in which at least one day failed"
      filter      = "resource.type=\"cloud_dataproc_batch\" AND (jsonPayload.message=~\"days read.*failed.: [1-9]\" OR textPayload=~\"days read.*failed.: [1-9]\")"
      value       = null
    }
    batch-errors = {
      description = "Batches that failed"
      filter      = "resource.type=\"cloud_dataproc_batch\" AND severity>=ERROR AND (jsonPayload.message=~\"FAILED|Traceback\" OR textPayload=~\"FAILED|Traceback\")"
      value       = null
    }
    errors = {
      description = "Errors that functions and the dashboard have logged"
      filter      = "resource.type=\"cloud_run_revision\" AND severity>=ERROR AND jsonPayload.message!=\"\""
      value       = null
    }
  }

  metrics = merge(local.history_metrics, var.has_live ? local.live_metrics : {})
  custom  = { for name in keys(merge(local.history_metrics, local.live_metrics)) : name => "metric.type = \"logging.googleapis.com/user/${name}\"" }

  history_alerts = {
    days-failed = {
      name    = "A day of the archive failed"
      text    = "market.ingests has the day with its reason: pipeline sql \"SELECT symbol, date, reason FROM ingests WHERE status = 'failed'\""
      filter  = "${local.custom["days-failed"]} AND resource.type = \"cloud_dataproc_batch\""
      aligner = "ALIGN_DELTA", above = 0, period = "3600s", duration = "0s"
    }
    batch-errors = {
      name    = "A batch failed"
      text    = "The batch's driver log has the reason: gcloud dataproc batches list. The next run computes its days again."
      filter  = "${local.custom["batch-errors"]} AND resource.type = \"cloud_dataproc_batch\""
      aligner = "ALIGN_DELTA", above = 0, period = "3600s", duration = "0s"
    }
    daily-failed = {
      name    = "The daily job failed"
      text    = "Its log has the days that failed or are not published 36 hours after their end."
      filter  = "metric.type = \"run.googleapis.com/job/completed_execution_count\" AND resource.type = \"cloud_run_job\" AND metric.labels.result = \"failed\""
      aligner = "ALIGN_DELTA", above = 0, period = "3600s", duration = "0s"
    }
    errors = {
      name    = "Functions or the dashboard log errors"
      text    = "The log has them: severity>=ERROR. A single one is tried again by itself."
      filter  = "${local.custom["errors"]} AND resource.type = \"cloud_run_revision\""
      aligner = "ALIGN_DELTA", above = 5, period = "600s", duration = "600s"
    }
  }

  live_alerts = {
    feed-lag = {
      name    = "The feed lags"
      text    = "What is proven is more than 30 s old. The exchange, the network or the broker is slow; the producer's log has the reason."
      filter  = "${local.custom["feed-lag-ms"]} AND resource.type = \"cloud_run_worker_pool\""
      aligner = "ALIGN_PERCENTILE_50", above = 30000, period = "60s", duration = "300s"
    }
    gaps = {
      name    = "A gap was opened"
      text    = "Trades may be missing. It closes by itself once REST has brought them; what stays open: SELECT * FROM gaps WHERE state = 'opened' in Postgres."
      filter  = "${local.custom["gaps-opened"]} AND resource.type = \"cloud_run_worker_pool\""
      aligner = "ALIGN_DELTA", above = 0, period = "300s", duration = "0s"
    }
    unconfirmed = {
      name    = "Minutes are not confirmed"
      text    = "The exchange's own kline has other sums than the trades, or does not come. The dashboard shows which minutes."
      filter  = "${local.custom["minutes-not-confirmed"]} AND resource.type = \"cloud_run_worker_pool\""
      aligner = "ALIGN_DELTA", above = 0, period = "600s", duration = "0s"
    }
    broker-disk = {
      name    = "The broker's disk is nearly full"
      text    = "Below 2 GiB Redpanda refuses what the producer sends. Raise broker.disk_gib and restart the machine: the file system grows with the disk."
      filter  = "metric.type = \"compute.googleapis.com/guest/disk/bytes_used\" AND resource.type = \"gce_instance\" AND metric.labels.device_name = monitoring.regex.full_match(\"(disk/by-id/google-)?(data|sdb)\") AND metric.labels.state = \"used\""
      aligner = "ALIGN_MAX", above = var.broker_disk_gib * 0.8 * 1024 * 1024 * 1024, period = "300s", duration = "0s"
    }
    postgres-disk = {
      name    = "Postgres' disk is nearly full"
      text    = "The disk grows by itself up to four times its first size. publish_live deletes what is older than 35 days and in BigQuery."
      filter  = "metric.type = \"cloudsql.googleapis.com/database/disk/utilization\" AND resource.type = \"cloudsql_database\""
      aligner = "ALIGN_MAX", above = 0.85, period = "300s", duration = "0s"
    }
  }

  # Something that must happen all the time, and does not.
  absences = var.has_live ? {
    feed-silent = {
      name   = "The producer is silent"
      text   = "It has sent no figures for ten minutes: it is paused (pipeline live resume), or does not start; its log has the reason."
      filter = "${local.custom["feed-lag-ms"]} AND resource.type = \"cloud_run_worker_pool\""
    }
    candles-silent = {
      name   = "No live candle reaches BigQuery"
      text   = "Neither Flink nor publish_live may work: on the machine candles-m `systemctl status candles flink-jobmanager flink-taskmanager`, and the log of publish-live."
      filter = "${local.custom["candles-published"]} AND resource.type = \"cloud_run_revision\""
    }
  } : {}

  alerts = merge(local.history_alerts, var.has_live ? local.live_alerts : {})

  charts = concat(
    var.has_live ? [
      { title = "Feed lag (ms)", filter = "${local.custom["feed-lag-ms"]} AND resource.type = \"cloud_run_worker_pool\"", aligner = "ALIGN_PERCENTILE_95" },
      { title = "Gaps opened", filter = "${local.custom["gaps-opened"]} AND resource.type = \"cloud_run_worker_pool\"", aligner = "ALIGN_DELTA" },
      { title = "Minutes not confirmed", filter = "${local.custom["minutes-not-confirmed"]} AND resource.type = \"cloud_run_worker_pool\"", aligner = "ALIGN_DELTA" },
      { title = "Publications to BigQuery", filter = "${local.custom["candles-published"]} AND resource.type = \"cloud_run_revision\"", aligner = "ALIGN_DELTA" },
      { title = "Broker: bytes on disk", filter = local.live_alerts["broker-disk"].filter, aligner = "ALIGN_MAX" },
      { title = "Postgres: share of the disk", filter = local.live_alerts["postgres-disk"].filter, aligner = "ALIGN_MAX" },
      { title = "Postgres: CPU", filter = "metric.type = \"cloudsql.googleapis.com/database/cpu/utilization\" AND resource.type = \"cloudsql_database\"", aligner = "ALIGN_MEAN" },
      { title = "Producer: memory", filter = "metric.type = \"run.googleapis.com/container/memory/utilizations\" AND resource.type = \"cloud_run_worker_pool\"", aligner = "ALIGN_PERCENTILE_99" },
    ] : [],
    [
      { title = "Days that failed", filter = "${local.custom["days-failed"]} AND resource.type = \"cloud_dataproc_batch\"", aligner = "ALIGN_DELTA" },
      { title = "Errors of functions and the dashboard", filter = local.history_alerts["errors"].filter, aligner = "ALIGN_DELTA" },
      { title = "Bytes scanned by queries", filter = "metric.type = \"bigquery.googleapis.com/query/scanned_bytes_billed\" AND resource.type = \"global\"", aligner = "ALIGN_DELTA" },
    ],
  )
}

resource "google_logging_metric" "this" {
  for_each        = local.metrics
  project         = var.project
  name            = each.key
  description     = each.value.description
  filter          = each.value.filter
  value_extractor = each.value.value

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = each.value.value == null ? "INT64" : "DISTRIBUTION"
  }

  dynamic "bucket_options" {
    for_each = each.value.value == null ? [] : [1]
    content {
      exponential_buckets {
        num_finite_buckets = 30
        growth_factor      = 2
        scale              = 10
      }
    }
  }
}

resource "google_monitoring_notification_channel" "email" {
  project      = var.project
  display_name = "Bitcoin pipeline"
  type         = "email"
  labels       = { email_address = var.email }
  user_labels  = var.labels
}

resource "google_monitoring_alert_policy" "threshold" {
  for_each              = local.alerts
  project               = var.project
  display_name          = each.value.name
  combiner              = "OR"
  notification_channels = [google_monitoring_notification_channel.email.id]
  user_labels           = var.labels

  documentation {
    content   = each.value.text
    mime_type = "text/markdown"
  }

  conditions {
    display_name = each.key
    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.above
      duration        = each.value.duration
      aggregations {
        alignment_period     = each.value.period
        per_series_aligner   = each.value.aligner
        cross_series_reducer = "REDUCE_MAX"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  depends_on = [google_logging_metric.this]
}

resource "google_monitoring_alert_policy" "absence" {
  for_each              = local.absences
  project               = var.project
  display_name          = each.value.name
  combiner              = "OR"
  notification_channels = [google_monitoring_notification_channel.email.id]
  user_labels           = var.labels

  documentation {
    content   = each.value.text
    mime_type = "text/markdown"
  }

  conditions {
    display_name = each.key
    condition_absent {
      filter   = each.value.filter
      duration = "600s"
      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = each.key == "feed-silent" ? "REDUCE_COUNT" : "REDUCE_SUM"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  depends_on = [google_logging_metric.this]
}

resource "google_monitoring_dashboard" "this" {
  project = var.project
  dashboard_json = jsonencode({
    displayName = "Bitcoin pipeline"
    gridLayout = {
      columns = "2"
      widgets = [for chart in local.charts : {
        title = chart.title
        xyChart = {
          dataSets = [{
            plotType = "LINE"
            timeSeriesQuery = {
              timeSeriesFilter = {
                filter      = chart.filter
                aggregation = { alignmentPeriod = "60s", perSeriesAligner = chart.aligner }
              }
            }
          }]
        }
      }]
    }
  })
  depends_on = [google_logging_metric.this]
}
