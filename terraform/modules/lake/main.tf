# The buckets of files: the lake, which holds the only copy of what was seen live, and the staging bucket of temporary
# objects, whose location and storage class are those of the lake, so that a rewrite between the two moves no bytes.
resource "google_storage_bucket" "lake" {
  #checkov:skip=CKV_GCP_62:access logs of every object read would cost more than the lake; Cloud Audit Logs has changes
  #checkov:skip=CKV_GCP_78:a replaced Parquet file can be computed again from raw/; versions would keep every one of them, and soft delete covers a week
  project                     = var.project
  name                        = "${var.project}-lake"
  location                    = var.location
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.protected
  labels                      = var.labels

  # What is deleted or replaced by mistake can be restored for a week.
  soft_delete_policy {
    retention_duration_seconds = 7 * 24 * 3600
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 1
    }
  }

  # Raw files are read once, then again only after a mistake.
  lifecycle_rule {
    action {
      type          = "SetStorageClass"
      storage_class = "NEARLINE"
    }
    condition {
      age                   = 30
      matches_prefix        = ["raw/"]
      matches_storage_class = ["STANDARD"]
    }
  }
}

resource "google_storage_bucket" "staging" {
  #checkov:skip=CKV_GCP_62:temporary objects
  #checkov:skip=CKV_GCP_78:temporary objects
  project                     = var.project
  name                        = "${var.project}-staging"
  location                    = var.location
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true
  labels                      = var.labels

  # Soft delete would bill every temporary object for a week more.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = 1
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 1
    }
  }
}

resource "google_storage_bucket_iam_member" "lake_reader" {
  for_each = var.readers
  bucket   = google_storage_bucket.lake.name
  role     = "roles/storage.objectViewer"
  member   = each.value
}

resource "google_storage_bucket_iam_member" "lake_writer" {
  for_each = var.writers
  bucket   = google_storage_bucket.lake.name
  role     = "roles/storage.objectUser"
  member   = each.value.member

  # A listing is a right on the bucket; objects can be read, written and deleted below the prefixes only.
  condition {
    title = "below-${replace(replace(join("-and-", each.value.prefixes), "/", ""), "_", "-")}"
    expression = join(" || ", concat(
      ["resource.type == \"storage.googleapis.com/Bucket\""],
      [
        for prefix in each.value.prefixes :
        "resource.name.startsWith(\"projects/_/buckets/${google_storage_bucket.lake.name}/objects/${prefix}\")"
      ],
    ))
  }
}

resource "google_storage_bucket_iam_member" "staging_user" {
  for_each = var.staging_users
  bucket   = google_storage_bucket.staging.name
  role     = "roles/storage.objectUser"
  member   = each.value
}
