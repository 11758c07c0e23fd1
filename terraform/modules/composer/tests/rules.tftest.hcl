# Composer 3 with Airflow 3; no variable that it keeps for itself.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project       = "demo-project"
  region        = "europe-west1"
  account       = "composer@demo-project.iam.gserviceaccount.com"
  image_version = "composer-3-airflow-3.1.0-build.1"
  environ       = { PIPELINE_REGION = "europe-west1" }
  labels        = {}
}

run "private" {
  assert {
    condition     = google_composer_environment.this.config[0].enable_private_environment
    error_message = "tasks have no public address"
  }
}

run "airflow_2_is_refused" {
  command = plan
  variables {
    image_version = "composer-3-airflow-2.11.0-build.1"
  }
  expect_failures = [var.image_version]
}

run "a_variable_of_composer_is_refused" {
  command = plan
  variables {
    environ = { GCP_PROJECT = "demo-project" }
  }
  expect_failures = [var.environ]
}

run "a_setting_of_airflow_is_refused" {
  command = plan
  variables {
    environ = { AIRFLOW__CORE__PARALLELISM = "1" }
  }
  expect_failures = [var.environ]
}
