# The service account of one deployable, with its roles on the project. Roles on single resources stand in the modules of
# these resources.
resource "google_service_account" "this" {
  project      = var.project
  account_id   = var.name
  display_name = var.name
  description  = var.description
}

resource "google_project_iam_member" "project" {
  for_each = var.project_roles
  project  = var.project
  role     = each.value
  member   = google_service_account.this.member
}
