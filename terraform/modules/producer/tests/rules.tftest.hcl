# Memory follows the symbols; a pause survives a deploy.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project = "demo-project"
  region  = "europe-west1"
  image   = "europe-west1-docker.pkg.dev/p/pipeline/x@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  account = "a@demo-project.iam.gserviceaccount.com"
  program = { environ = {} }
  labels  = {}
  network = { network = "projects/p/global/networks/n", subnetwork = "projects/p/regions/r/subnetworks/s" }
  symbols = 2
  size    = { cpu = "1", memory_mib = 512 }
}

run "one_instance_without_a_port" {
  assert {
    condition     = google_cloud_run_v2_worker_pool.this.scaling[0].manual_instance_count == 1
    error_message = "one worker"
  }
}

run "too_little_memory_for_the_symbols_is_refused" {
  command = plan
  variables {
    size    = { cpu = "1", memory_mib = 512 }
    symbols = 300
  }
  expect_failures = [var.size]
}
