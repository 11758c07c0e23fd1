# Nothing has a public address; what only a live plane needs is not paid for without one.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project  = "demo-project"
  region   = "europe-west1"
  has_live = true
  labels   = {}
}

run "google_is_reached_privately" {
  assert {
    condition     = google_compute_subnetwork.this.private_ip_google_access && google_compute_subnetwork.batches.private_ip_google_access
    error_message = "machines have no other way to Google"
  }
  assert {
    condition     = length(google_service_networking_connection.services) == 1
    error_message = "a live plane needs the range of Cloud SQL"
  }
  assert {
    condition     = google_dns_managed_zone.internal[0].visibility == "private"
    error_message = "the zone is private"
  }
}

run "history_pays_for_no_zone" {
  variables {
    has_live = false
  }
  assert {
    condition     = length(google_service_networking_connection.services) == 0 && length(google_dns_managed_zone.internal) == 0
    error_message = "history needs neither the range nor a zone"
  }
}

run "only_batches_reach_each_other_on_every_port" {
  command = plan
  assert {
    condition     = google_compute_firewall.batches.source_ranges == toset([var.batch_range]) && google_compute_firewall.batches.destination_ranges == toset([var.batch_range])
    error_message = "neither the broker nor Flink's machine is in that subnet"
  }
  assert {
    condition     = google_compute_subnetwork.this.ip_cidr_range != google_compute_subnetwork.batches.ip_cidr_range
    error_message = "batches have a subnet of their own"
  }
}

run "a_public_range_is_refused" {
  command = plan
  variables {
    range = "8.8.0.0/16"
  }
  expect_failures = [var.range]
}

run "a_tiny_range_is_refused" {
  command = plan
  variables {
    range = "10.0.0.0/28"
  }
  expect_failures = [var.range]
}
