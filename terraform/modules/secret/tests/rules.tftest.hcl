# A value is written and never kept in the state.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project = "demo-project"
  name    = "broker-admin"
  value   = "hunter2"
  readers = { broker = "serviceAccount:b@demo-project.iam.gserviceaccount.com" }
  labels  = {}
}

run "no_value_is_in_the_state" {
  assert {
    condition     = google_secret_manager_secret_version.this.secret_data_wo == null && google_secret_manager_secret_version.this.secret_data == null
    error_message = "the state must not hold the value"
  }
  assert {
    condition     = google_secret_manager_secret_version.this.secret_data_wo_version == 1
    error_message = "without a version the provider writes no value"
  }
}

run "a_name_in_capitals_is_refused" {
  command = plan
  variables {
    name = "Broker"
  }
  expect_failures = [var.name]
}
