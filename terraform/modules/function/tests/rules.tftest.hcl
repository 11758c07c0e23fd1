# Time limits are those of the core, for the scheduler, too; no function is public.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project     = "demo-project"
  region      = "europe-west1"
  function    = "fetch_archive"
  description = "Brings files"
  account     = "a@demo-project.iam.gserviceaccount.com"
  program     = { environ = {} }
  invokers    = { scheduler = "serviceAccount:s@demo-project.iam.gserviceaccount.com" }
  labels      = {}
  cpu         = "1"
  instances   = 2
  source_code = { bucket = "b", object = "o", builder = "projects/p/serviceAccounts/b", repository = "projects/p/locations/l/repositories/r" }
}

run "the_time_limit_is_that_of_the_core" {
  variables {
    schedule = { cron = "*/2 * * * *", caller = "s@demo-project.iam.gserviceaccount.com" }
  }
  assert {
    condition     = google_cloudfunctions2_function.this.service_config[0].timeout_seconds == 900
    error_message = "schemas/functions.json has 900 s"
  }
  assert {
    condition     = google_cloud_scheduler_job.this[0].attempt_deadline == "900s"
    error_message = "the scheduler waits as long"
  }
  assert {
    condition     = google_cloud_scheduler_job.this[0].http_target[0].oidc_token[0].audience == google_cloudfunctions2_function.this.service_config[0].uri
    error_message = "the token is for this function"
  }
  assert {
    condition     = google_cloudfunctions2_function.this.name == "fetch-archive" && google_cloudfunctions2_function.this.build_config[0].entry_point == "fetch_archive"
    error_message = "Google takes dashes, Python underscores"
  }
}

run "memory_and_concurrent_calls_are_those_of_the_core" {
  assert {
    condition     = google_cloudfunctions2_function.this.service_config[0].available_memory == "256Mi"
    error_message = "schemas/functions.json has 256 MiB"
  }
  assert {
    condition     = google_cloudfunctions2_function.this.service_config[0].max_instance_request_concurrency == 4
    error_message = "schemas/functions.json has four calls"
  }
}

run "a_public_function_is_refused" {
  command = plan
  variables {
    invokers = { all = "allUsers" }
  }
  expect_failures = [var.invokers]
}

run "two_files_in_one_folder_are_refused" {
  command = plan
  variables {
    program = { environ = {}, files = { "/secrets/a.pem" = { secret = "a", version = "1" }, "/secrets/b.pem" = { secret = "b", version = "1" } } }
  }
  expect_failures = [var.program]
}

run "half_a_cpu_takes_one_call_at_a_time" {
  command = plan
  variables {
    cpu = "0.5"
  }
  expect_failures = [google_cloudfunctions2_function.this]
}

run "a_cpu_that_google_has_not_is_refused" {
  command = plan
  variables {
    cpu = "3"
  }
  expect_failures = [var.cpu]
}

run "a_schedule_in_words_is_refused" {
  command = plan
  variables {
    schedule = { cron = "every 2 minutes", caller = "s@b.c" }
  }
  expect_failures = [var.schedule]
}

run "a_name_with_dashes_is_refused" {
  command = plan
  variables {
    function = "fetch-archive"
  }
  expect_failures = [var.function]
}
