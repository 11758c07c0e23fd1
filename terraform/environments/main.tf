# The whole pipeline: history.tf has the archive plane, live.tf the live plane, watch.tf what looks after both, and outputs.tf
# what a deploy and the command need to know of it.
data "google_project" "this" {
  project_id = var.project
}

locals {
  zone    = "${var.region}-${var.zone}"
  network = { network = module.network.network, subnetwork = module.network.subnetwork }
}

module "network" {
  source    = "../modules/network"
  project   = var.project
  region    = var.region
  has_live  = local.has_live
  flow_logs = var.flow_logs
  labels    = var.labels
}
