# One account for each deployable. Roles on the whole project stand here, those on single resources in the modules of the
# resources. tests/terraform holds them to what each client calls.
locals {
  has_live = var.live != null

  history_accounts = {
    fetch-archive = { description = "Function fetch_archive: brings a day's file into the lake", roles = [] }
    candles-batch = {
      description = "Spark batches of the job candles: raw files to trades and candles"
      # Dataproc refuses an account that is no worker.
      roles = ["roles/dataproc.worker", "roles/bigquery.jobUser"]
    }
    daily     = { description = "Job daily, and the pipeline command by impersonation: plans, calls, submits", roles = ["roles/dataproc.editor", "roles/bigquery.jobUser", "roles/bigquery.readSessionUser"] }
    scheduler = { description = "Cloud Scheduler: calls functions and starts the daily job", roles = [] }
  }

  accounts = local.history_accounts
}

module "account" {
  source        = "../modules/account"
  for_each      = local.accounts
  project       = var.project
  name          = each.key
  description   = each.value.description
  project_roles = each.value.roles
}
