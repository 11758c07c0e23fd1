module "monitoring" {
  source          = "../modules/monitoring"
  count           = var.alerts == null ? 0 : 1
  project         = var.project
  email           = var.alerts.email
  has_live        = local.has_live
  broker_disk_gib = try(var.live.broker.disk_gib, 10)
  labels          = var.labels
}

module "budget" {
  source          = "../modules/budget"
  count           = var.budget == null ? 0 : 1
  project         = var.project
  project_number  = data.google_project.this.number
  billing_account = var.budget.billing_account
  currency        = var.budget.currency
  amount          = var.budget.amount
  channel         = one(module.monitoring[*].channel)
}
