# A private address, encrypted connections, backups; the password is in no state.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project                 = "demo-project"
  region                  = "europe-west1"
  network                 = "projects/demo-project/global/networks/pipeline"
  zone_name               = "pipeline-internal"
  tier                    = "db-f1-micro"
  owner                   = "store_setup"
  owner_password          = "hunter2"
  owner_password_revision = 1
  clients                 = {}
  protected               = true
  labels                  = {}
}

run "private_encrypted_and_kept" {
  assert {
    condition     = !google_sql_database_instance.this.settings[0].ip_configuration[0].ipv4_enabled
    error_message = "no public address"
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].ip_configuration[0].ssl_mode == "ENCRYPTED_ONLY"
    error_message = "no plain connection"
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].backup_configuration[0].enabled
    error_message = "backups"
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].edition == "ENTERPRISE"
    error_message = "the default edition has no small machines"
  }
  assert {
    condition     = google_sql_database_instance.this.deletion_protection && google_sql_database_instance.this.settings[0].deletion_protection_enabled
    error_message = "the instance survives"
  }
  assert {
    condition     = google_sql_user.owner.password_wo == null && google_sql_user.owner.password == null
    error_message = "the state must not hold the password"
  }
}

run "a_machine_of_the_other_edition_is_refused" {
  command = plan
  variables {
    tier = "db-perf-optimized-N-2"
  }
  expect_failures = [var.tier]
}

run "a_disk_that_google_has_not_is_refused" {
  command = plan
  variables {
    disk_gib = 5
  }
  expect_failures = [var.disk_gib]
}
