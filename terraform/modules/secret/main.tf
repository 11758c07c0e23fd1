# A secret with one version, which is written once and is never part of a plan or of a state.
resource "google_secret_manager_secret" "this" {
  project             = var.project
  secret_id           = var.name
  deletion_protection = false
  labels              = var.labels
  replication {
    auto {}
  }
}

resource "google_secret_manager_secret_version" "this" {
  secret                 = google_secret_manager_secret.this.id
  secret_data_wo         = var.value
  secret_data_wo_version = var.revision
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each  = var.readers
  project   = var.project
  secret_id = google_secret_manager_secret.this.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = each.value
}
