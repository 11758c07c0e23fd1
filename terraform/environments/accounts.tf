# One account for each deployable. Roles on the whole project stand here, those on single resources in the modules of the
# resources. tests/terraform holds them to what each client calls.
locals {
  has_live     = var.live != null
  has_composer = var.composer != null

  history_accounts = {
    fetch-archive = { text = "Function fetch_archive: brings a day's file into the lake", roles = [] }
    # Dataproc refuses an account that is no worker.
    candles-batch = { text = "Spark batches of the job candles: raw files to trades and candles", roles = ["roles/dataproc.worker", "roles/bigquery.jobUser"] }
    pipeline      = { text = "The pipeline command: the daily job, and persons by impersonation", roles = ["roles/bigquery.jobUser", "roles/bigquery.readSessionUser"] }
    scheduler     = { text = "Cloud Scheduler: calls functions and starts the daily job", roles = [] }
  }

  live_accounts = {
    publish-live   = { text = "Function publish_live: live candles to BigQuery", roles = ["roles/bigquery.jobUser"] }
    archive-live   = { text = "Function archive_live: the topic's trades to the lake", roles = [] }
    producer       = { text = "Producer: the exchange's websocket to the topic", roles = [] }
    dashboard      = { text = "Dashboard: reads candles and trades", roles = ["roles/bigquery.jobUser", "roles/bigquery.readSessionUser"] }
    store-setup    = { text = "Set-up job: topics, tables and logins", roles = [] }
    broker         = { text = "The machine of Redpanda", roles = ["roles/logging.logWriter", "roles/monitoring.metricWriter"] }
    candles-stream = { text = "The Flink cluster of the job candles", roles = ["roles/dataproc.worker"] }
  }

  composer_accounts = {
    composer = { text = "The DAGs of Cloud Composer", roles = ["roles/composer.worker", "roles/bigquery.jobUser", "roles/bigquery.readSessionUser"] }
  }

  accounts = merge(local.history_accounts, local.has_live ? local.live_accounts : {}, local.has_composer ? local.composer_accounts : {})
  member   = { for name, account in module.account : name => account.member }
  email    = { for name, account in module.account : name => account.email }

  # Those that submit batches: the command, and the DAGs.
  submitters = concat(["pipeline"], local.has_composer ? ["composer"] : [])
}

module "account" {
  source        = "../modules/account"
  for_each      = local.accounts
  project       = var.project
  name          = each.key
  description   = each.value.text
  project_roles = each.value.roles
}

# Dataproc's own roles that may create a batch may also create and delete clusters.
resource "google_project_iam_custom_role" "batch_submitter" {
  project     = var.project
  role_id     = "batchSubmitter"
  title       = "Submits Spark batches and reads their state"
  permissions = ["dataproc.batches.create", "dataproc.batches.get", "dataproc.batches.list", "dataproc.operations.get"]
}

resource "google_project_iam_member" "batch_submitter" {
  for_each = toset(local.submitters)
  project  = var.project
  role     = "projects/${var.project}/roles/${google_project_iam_custom_role.batch_submitter.role_id}"
  member   = local.member[each.key]
}

# A batch runs as its own account, which those that submit it must be allowed to use.
resource "google_service_account_iam_member" "runs_batches" {
  for_each           = toset(local.submitters)
  service_account_id = module.account["candles-batch"].id
  role               = "roles/iam.serviceAccountUser"
  member             = local.member[each.key]
}

# Persons use the command in the name of the account `pipeline`, as Cloud Run accepts no token of a person.
resource "google_service_account_iam_member" "operator" {
  for_each           = var.operators
  service_account_id = module.account["pipeline"].id
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = each.value
}

resource "google_storage_bucket_iam_member" "artifact_reader" {
  for_each = toset(concat(["candles-batch"], local.has_live ? ["candles-stream"] : []))
  bucket   = var.artifacts.bucket
  role     = "roles/storage.objectViewer"
  member   = local.member[each.key]
}

resource "google_artifact_registry_repository_iam_member" "image_reader" {
  count      = local.has_live ? 1 : 0
  repository = var.artifacts.registry
  role       = "roles/artifactregistry.reader"
  member     = local.member["broker"]
}
