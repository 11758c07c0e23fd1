# A schedule starts the job by its own account.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project         = "demo-project"
  region          = "europe-west1"
  image           = "europe-west1-docker.pkg.dev/p/pipeline/x@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  account         = "a@demo-project.iam.gserviceaccount.com"
  program         = { environ = {} }
  labels          = {}
  name            = "daily"
  retries         = 0
  timeout_seconds = 3000
  schedule        = { cron = "20 * * * *", caller = "s@demo-project.iam.gserviceaccount.com" }
}

run "the_scheduler_may_start_it" {
  assert {
    condition     = google_cloud_run_v2_job_iam_member.caller[0].role == "roles/run.invoker" && endswith(google_cloud_scheduler_job.this[0].http_target[0].uri, ":run")
    error_message = "the account of the scheduler starts the job"
  }
}

run "no_schedule_is_no_scheduler" {
  variables {
    schedule = null
  }
  assert {
    condition     = length(google_cloud_scheduler_job.this) == 0
    error_message = "nothing calls"
  }
}

run "a_schedule_of_six_fields_is_refused" {
  command = plan
  variables {
    schedule = { cron = "0 20 * * * *", caller = "s@b.c" }
  }
  expect_failures = [var.schedule]
}
