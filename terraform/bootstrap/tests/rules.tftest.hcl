# State is versioned; the random values are in no state.
mock_provider "google" {
  source = "../../tests/terraform/mocks"
}

variables {
  project   = "demo-project"
  generated = { seed = "0123456789abcdef0123456789abcdef", broker_tls = "-----BEGIN PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n" }
}

run "state_has_versions_and_no_values" {
  assert {
    condition     = google_storage_bucket.state.versioning[0].enabled
    error_message = "an earlier state can be restored"
  }
  assert {
    condition     = google_secret_manager_secret_version.generated.secret_data_wo == null
    error_message = "the state must not hold the values"
  }
  assert {
    condition     = alltrue([for service in google_project_service.this : !service.disable_on_destroy])
    error_message = "a destroy leaves the APIs to what else uses them"
  }
}

run "a_region_in_the_us_is_refused" {
  command = plan
  variables {
    region = "us-central1"
  }
  expect_failures = [var.region]
}

run "a_short_seed_is_refused" {
  command = plan
  variables {
    generated = { seed = "short", broker_tls = "-----BEGIN PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n" }
  }
  expect_failures = [var.generated]
}

run "a_certificate_alone_is_refused" {
  command = plan
  variables {
    generated = { seed = "0123456789abcdef0123456789abcdef", broker_tls = "-----BEGIN CERTIFICATE-----" }
  }
  expect_failures = [var.generated]
}
