module "lake" {
  source    = "../modules/lake"
  project   = var.project
  location  = var.region
  protected = var.protected
  labels    = var.labels
  readers   = { for name in ["candles-batch", "daily"] : name => local.member[name] }
  writers = {
    fetch-archive = { member = local.member["fetch-archive"], prefixes = ["raw/"] }
    candles-batch = { member = local.member["candles-batch"], prefixes = ["trades/", "quarantine/"] }
  }
  staging_users = { for name in ["fetch-archive", "candles-batch", "daily"] : name => local.member[name] }
}

module "market" {
  source    = "../modules/market"
  project   = var.project
  location  = var.region
  protected = var.protected
  labels    = var.labels
  readers   = { for name in ["daily"] : name => local.member[name] }
  writers   = { for name in ["candles-batch"] : name => local.member[name] }
}

module "events" {
  source         = "../modules/events"
  project        = var.project
  project_number = data.google_project.this.number
  labels         = var.labels
}
