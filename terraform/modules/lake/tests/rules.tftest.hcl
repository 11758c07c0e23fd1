# Temporary objects cost nothing after a day; the lake survives; a writer is kept to its folders.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project   = "demo-project"
  location  = "europe-west1"
  protected = true
  labels    = {}
  writers = {
    archive-live = { member = "serviceAccount:a@demo-project.iam.gserviceaccount.com", prefixes = ["trades_live/"] }
  }
}

run "staging_is_emptied" {
  assert {
    condition     = google_storage_bucket.staging.soft_delete_policy[0].retention_duration_seconds == 0
    error_message = "soft delete bills every temporary object for a week"
  }
  assert {
    condition     = google_storage_bucket.staging.lifecycle_rule[0].condition[*].age == tolist([1])
    error_message = "temporary objects go after a day"
  }
  assert {
    condition     = google_storage_bucket.staging.location == google_storage_bucket.lake.location
    error_message = "a rewrite between locations copies bytes"
  }
  assert {
    condition     = google_storage_bucket.staging.storage_class == google_storage_bucket.lake.storage_class
    error_message = "a rewrite between storage classes copies bytes"
  }
}

run "the_lake_survives" {
  assert {
    condition     = !google_storage_bucket.lake.force_destroy
    error_message = "a destroy must not delete the only copy"
  }
  assert {
    condition     = google_storage_bucket.lake.public_access_prevention == "enforced" && google_storage_bucket.lake.uniform_bucket_level_access
    error_message = "no object may become public"
  }
  assert {
    condition     = google_storage_bucket.lake.soft_delete_policy[0].retention_duration_seconds == 604800
    error_message = "a deleted object can be restored for a week"
  }
}

run "an_unprotected_lake_can_be_destroyed" {
  variables {
    protected = false
  }
  assert {
    condition     = google_storage_bucket.lake.force_destroy
    error_message = "protected = false allows a destroy"
  }
}

run "a_writer_is_kept_to_its_folder" {
  assert {
    condition     = strcontains(google_storage_bucket_iam_member.lake_writer["archive-live"].condition[0].expression, "/objects/trades_live/\")")
    error_message = "the condition names the folder with its slash"
  }
}

run "a_prefix_without_a_slash_is_refused" {
  command = plan
  variables {
    writers = { a = { member = "serviceAccount:a@b.c", prefixes = ["trades"] } }
  }
  expect_failures = [var.writers]
}
