# The whole pipeline: history.tf is the archive plane, live.tf the live plane, watch.tf what looks after both.
data "google_project" "this" {
  project_id = var.project
}

locals {
  zone   = "${var.region}-${var.zone}"
  member = { for name, account in module.account : name => account.member }
}
