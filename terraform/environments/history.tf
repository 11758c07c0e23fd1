module "lake" {
  source    = "../modules/lake"
  project   = var.project
  location  = var.region
  protected = var.protected
  labels    = var.labels
  readers   = { for name in ["candles-batch", "pipeline"] : name => local.member[name] }
  writers = merge({
    fetch-archive = { member = local.member["fetch-archive"], prefixes = ["raw/"] }
    candles-batch = { member = local.member["candles-batch"], prefixes = ["trades/", "quarantine/"] }
    }, local.has_live ? {
    archive-live = { member = local.member["archive-live"], prefixes = ["trades_live/"] }
  } : {})
  staging_users = { for name in concat(["fetch-archive", "candles-batch"], local.submitters) : name => local.member[name] }
}

module "market" {
  source          = "../modules/market"
  project         = var.project
  location        = var.region
  protected       = var.protected
  labels          = var.labels
  readers         = { for name in concat(local.submitters, local.has_live ? ["dashboard"] : []) : name => local.member[name] }
  writers         = { for name in concat(["candles-batch"], local.has_live ? ["publish-live"] : []) : name => local.member[name] }
  query_mib_a_day = var.query_mib_a_day
  quota_contact   = try(var.alerts.email, null)
}

# The API has no method that deletes the preference, so a project that was destroyed still has it.
import {
  for_each = var.has_quota_preference && var.query_mib_a_day != null ? toset(["queries"]) : toset([])
  to       = module.market.google_cloud_quotas_quota_preference.queries[0]
  id       = "projects/${var.project}/locations/global/quotaPreferences/bigquery-query-usage-per-day"
}

module "events" {
  source         = "../modules/events"
  project        = var.project
  project_number = data.google_project.this.number
  labels         = var.labels
  publishers     = { for name in concat(local.has_live ? ["producer"] : [], local.has_composer ? ["composer"] : []) : name => local.member[name] }
}

module "fetch_archive" {
  source      = "../modules/function"
  project     = var.project
  region      = var.region
  function    = "fetch_archive"
  description = "Brings a day's file of the exchange's archive into the lake, verified on the way"
  source_code = local.source_code["fetch_archive"]
  account     = local.email["fetch-archive"]
  labels      = var.labels
  program     = { environ = { PIPELINE_LAKE = module.lake.lake, PIPELINE_STAGING = module.lake.staging } }
  cpu         = "1"
  instances   = 10
  invokers    = { for name in local.submitters : name => local.member[name] }
}

locals {
  source_code = {
    for function, object in var.artifacts.functions : function => {
      bucket     = var.artifacts.bucket
      object     = object
      builder    = var.artifacts.builder
      repository = var.artifacts.registry
    }
  }

  # The settings of every program that loads or reads days: the command and the DAGs (bitcoin_pipeline.deployment).
  backfill_environ = {
    GOOGLE_CLOUD_PROJECT       = var.project
    PIPELINE_REGION            = var.region
    PIPELINE_LAKE              = module.lake.lake
    PIPELINE_STAGING           = module.lake.staging
    BIGQUERY_LOCATION          = module.market.location
    PIPELINE_FETCH_ARCHIVE_URL = module.fetch_archive.url
    PIPELINE_CANDLES_JOB       = "gs://${var.artifacts.bucket}/${var.artifacts.batch.main}"
    PIPELINE_CANDLES_JOB_FILES = join(",", [for file in var.artifacts.batch.files : "gs://${var.artifacts.bucket}/${file}"])
    PIPELINE_JOB_ACCOUNT       = local.email["candles-batch"]
    PIPELINE_JOB_SUBNET        = module.network.batches
    PIPELINE_SYMBOLS           = join(",", var.symbols)
  }

  # Of a person's machine: calls go out in the name of the account `pipeline`.
  command_environ = merge(local.backfill_environ, { PIPELINE_IMPERSONATED_ACCOUNT = local.email["pipeline"] })

  dags_environ = merge(local.backfill_environ, { PIPELINE_EVENTS_TOPIC = module.events.topic })
}

# The daily schedule without Composer: what is published by then is loaded, the rest by a later call of the same day.
module "daily" {
  source          = "../modules/job"
  count           = local.has_composer ? 0 : 1
  project         = var.project
  region          = var.region
  name            = "daily"
  image           = var.artifacts.images["command"]
  arguments       = ["daily"]
  account         = local.email["pipeline"]
  program         = { environ = local.backfill_environ }
  memory_mib      = 1024
  retries         = 0
  timeout_seconds = 3000 # below the two hours until the next call
  schedule        = { cron = "20 1-23/2 * * *", caller = local.email["scheduler"] }
  labels          = var.labels
}

module "composer" {
  source        = "../modules/composer"
  count         = local.has_composer ? 1 : 0
  project       = var.project
  region        = var.region
  account       = local.email["composer"]
  image_version = var.composer.image_version
  environ       = local.dags_environ
  labels        = var.labels
}
