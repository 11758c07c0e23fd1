# What every environment needs before it: the APIs, the bucket of Terraform's state, and the places of artifacts. Applied once,
# with a state on the machine that it is applied from, which may be lost: a second apply after an import changes nothing.
provider "google" {
  project               = var.project
  region                = var.region
  user_project_override = true
  billing_project       = var.project
}

locals {
  services = toset([
    for name in [
      "artifactregistry", "bigquery", "billingbudgets", "cloudbuild", "cloudfunctions", "cloudquotas", "cloudresourcemanager", "cloudscheduler",
      "composer", "compute", "dataproc", "dns", "iam", "iamcredentials", "iap", "logging", "monitoring", "pubsub", "run", "secretmanager",
      "servicenetworking", "serviceusage", "sqladmin", "storage",
    ] : "${name}.googleapis.com"
  ])
}

resource "google_project_service" "this" {
  for_each           = local.services
  project            = var.project
  service            = each.value
  disable_on_destroy = false
}

resource "google_storage_bucket" "state" {
  #checkov:skip=CKV_GCP_62:Cloud Audit Logs has who changed the state
  project                     = var.project
  name                        = "${var.project}-state"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  labels                      = var.labels
  versioning {
    enabled = true
  }
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      num_newer_versions = 30
      with_state         = "ARCHIVED"
    }
  }
  depends_on = [google_project_service.this]
}

resource "google_storage_bucket" "artifacts" {
  #checkov:skip=CKV_GCP_62:a build reads it, and Cloud Audit Logs has who wrote
  #checkov:skip=CKV_GCP_78:an object's name is the hash of its content, so it has no other version
  project                     = var.project
  name                        = "${var.project}-artifacts"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true
  labels                      = var.labels
  soft_delete_policy {
    retention_duration_seconds = 0
  }
  depends_on = [google_project_service.this]
}

resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:public images of public code; Google's own encryption at rest needs no key of ours
  project                = var.project
  location               = var.region
  repository_id          = "pipeline"
  format                 = "DOCKER"
  description            = "Images of the pipeline, and those that Cloud Functions builds"
  cleanup_policy_dry_run = false
  labels                 = var.labels
  # Tags are mutable, Google's default, as the builder of functions moves its own; environments name digests.
  cleanup_policies {
    id     = "keep-newest"
    action = "KEEP"
    most_recent_versions {
      keep_count = 10
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "2592000s"
    }
  }
  depends_on = [google_project_service.this]
}

# Builds the functions from their sources, in place of Compute Engine's own account, which may do far more.
resource "google_service_account" "builder" {
  project      = var.project
  account_id   = "builder"
  display_name = "builder"
  description  = "Cloud Build: builds functions and images"
  depends_on   = [google_project_service.this]
}

resource "google_project_iam_member" "builder_logs" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.builder.member
}

resource "google_storage_bucket_iam_member" "builder_sources" {
  bucket = google_storage_bucket.artifacts.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.builder.member
}

# Cloud Functions copies a source to a bucket of its own before it is built.
resource "google_project_iam_member" "builder_copies" {
  project = var.project
  role    = "roles/storage.objectViewer"
  member  = google_service_account.builder.member
  condition {
    title      = "copies-of-function-sources"
    expression = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-\")"
  }
}

resource "google_artifact_registry_repository_iam_member" "builder_images" {
  project    = var.project
  location   = var.region
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.builder.member
}

# The random values from which an environment derives its passwords. They are in no state.
resource "google_secret_manager_secret" "generated" {
  project             = var.project
  secret_id           = "generated"
  deletion_protection = true
  labels              = var.labels
  replication {
    auto {}
  }
  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret_version" "generated" {
  secret                 = google_secret_manager_secret.generated.id
  secret_data_wo         = jsonencode(var.generated)
  secret_data_wo_version = var.revision
}
