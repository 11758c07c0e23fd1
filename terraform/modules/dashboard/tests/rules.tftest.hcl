# Nobody without an identity sees the page.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project        = "demo-project"
  region         = "europe-west1"
  image          = "europe-west1-docker.pkg.dev/p/pipeline/x@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  account        = "a@demo-project.iam.gserviceaccount.com"
  program        = { environ = {} }
  labels         = {}
  network        = { network = "projects/p/global/networks/n", subnetwork = "projects/p/regions/r/subnetworks/s" }
  size           = { cpu = "1", memory_mib = 1024, instances = 2 }
  iap            = false
  viewers        = ["user:ada@example.com"]
  project_number = "123456789012"
}

run "viewers_call_with_their_token" {
  assert {
    condition     = length(google_cloud_run_v2_service_iam_member.viewer) == 1 && length(google_cloud_run_v2_service_iam_member.proxy) == 0
    error_message = "the viewer may call"
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].timeout == "3600s" && google_cloud_run_v2_service.this.template[0].max_instance_request_concurrency == 1000
    error_message = "streams last, and an instance is not overfilled"
  }
}

run "with_sign_in_only_the_proxy_calls" {
  variables {
    iap = true
  }
  assert {
    condition     = length(google_cloud_run_v2_service_iam_member.viewer) == 0 && length(google_cloud_run_v2_service_iam_member.proxy) == 1
    error_message = "only IAP may call"
  }
  assert {
    condition     = length(google_iap_web_cloud_run_service_iam_member.viewer) == 1 && google_cloud_run_v2_service.this.iap_enabled
    error_message = "the viewer signs in"
  }
}

run "a_public_page_is_refused" {
  command = plan
  variables {
    viewers = ["allUsers"]
  }
  expect_failures = [var.viewers]
}

run "too_little_memory_is_refused" {
  command = plan
  variables {
    size = { cpu = "1", memory_mib = 512, instances = 1 }
  }
  expect_failures = [var.size]
}
