# An account never gets a basic role, and its name is one that Google takes.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project     = "demo-project"
  name        = "producer"
  description = "Producer"
}

run "roles_are_granted" {
  variables {
    project_roles = ["roles/bigquery.jobUser"]
  }
  assert {
    condition     = google_project_iam_member.project["roles/bigquery.jobUser"].role == "roles/bigquery.jobUser"
    error_message = "the role must be granted"
  }
}

run "a_basic_role_is_refused" {
  command = plan
  variables {
    project_roles = ["roles/editor"]
  }
  expect_failures = [var.project_roles]
}

run "a_short_name_is_refused" {
  command = plan
  variables {
    name = "abc"
  }
  expect_failures = [var.name]
}

run "an_underscore_is_refused" {
  command = plan
  variables {
    name = "fetch_archive"
  }
  expect_failures = [var.name]
}
