# Private, encrypted, one user for each client with rules by topic and group; the disk outlives the machine.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project        = "demo-project"
  region         = "europe-west1"
  zone           = "europe-west1-b"
  network        = "projects/demo-project/global/networks/pipeline"
  subnetwork     = "projects/demo-project/regions/europe-west1/subnetworks/pipeline"
  client_range   = "10.10.0.0/20"
  zone_name      = "pipeline-internal"
  image          = "europe-west1-docker.pkg.dev/p/pipeline/redpanda:v25.3.1@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  machine        = "e2-small"
  memory_mib     = 1280
  disk_gib       = 20
  account        = "broker@demo-project.iam.gserviceaccount.com"
  admin_password = { secret = "s", version = "1" }
  tls            = { secret = "s", version = "1" }
  protected      = true
  labels         = {}
  clients = {
    producer  = { password = { secret = "s", version = "1" }, reads = ["trades"], writes = ["trades"], groups = ["tail"] }
    dashboard = { password = { secret = "s", version = "1" }, reads = ["trades"], groups = ["dashboard"] }
  }
}

run "no_public_address_and_no_open_range" {
  assert {
    condition     = length(google_compute_instance.this.network_interface[0].access_config) == 0
    error_message = "the machine has no public address"
  }
  assert {
    condition     = google_compute_firewall.clients.source_ranges == toset(["10.10.0.0/20"])
    error_message = "only the subnet is admitted"
  }
  assert {
    condition     = google_compute_instance.this.shielded_instance_config[0].enable_secure_boot
    error_message = "secure boot"
  }
  assert {
    condition     = google_compute_instance.this.deletion_protection && google_compute_disk.data.create_snapshot_before_destroy
    error_message = "the topic survives"
  }
}

run "the_topics_never_fill_the_disk" {
  variables {
    disk_gib = 16
    clients = {
      producer = { password = { secret = "s", version = "1" }, reads = ["trades"], writes = ["trades", "trades.dlq"] }
      candles  = { password = { secret = "s", version = "1" }, reads = ["trades"], writes = ["trades.dlq"] }
    }
  }
  assert {
    condition     = 4 * local.retention + 268435456 <= 12 * 1073741824 && local.retention > 2 * 1073741824
    error_message = "four partitions of trades and one of dead letters take three quarters of 16 GiB at most"
  }
  assert {
    condition     = strcontains(local.files["redpanda/environment"], "RETENTION=\"${local.retention}\"") && strcontains(local.files["redpanda/.bootstrap.yaml"], "\nretention_bytes: ${local.retention}\nstorage_min_free_bytes: 2147483648\n")
    error_message = "Redpanda gets the limit on its first start and on each later one"
  }
}

run "a_small_disk_keeps_three_gib_free" {
  variables {
    disk_gib = 10
  }
  assert {
    condition     = 4 * local.retention <= 7 * 1073741824
    error_message = "of 10 GiB the topics take 7 at most"
  }
}

run "rules_are_by_topic_and_group" {
  assert {
    condition     = contains(output.rules, "dashboard allow read,describe topic trades") && contains(output.rules, "dashboard allow read,describe group dashboard")
    error_message = "the dashboard reads the topic with its group"
  }
  assert {
    condition     = !anytrue([for rule in output.rules : startswith(rule, "dashboard allow write")])
    error_message = "the dashboard writes nothing"
  }
  assert {
    condition     = contains(output.rules, "producer allow idempotent_write cluster")
    error_message = "an idempotent producer needs it"
  }
}

run "no_secret_is_in_the_metadata" {
  assert {
    condition     = strcontains(google_compute_instance.this.metadata["user-data"], "SECRETS=") && !strcontains(google_compute_instance.this.metadata["user-data"], "PRIVATE KEY-----\\n")
    error_message = "the metadata names secrets only"
  }
}

run "an_older_version_is_refused" {
  command = plan
  variables {
    image = "h/redpanda:v25.2.9@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  }
  expect_failures = [var.image]
}

run "a_tag_alone_is_refused" {
  command = plan
  variables {
    image = "h/redpanda:v25.3.1"
  }
  expect_failures = [var.image]
}

run "a_public_range_is_refused" {
  command = plan
  variables {
    client_range = "0.0.0.0/0"
  }
  expect_failures = [var.client_range]
}

run "a_right_to_all_topics_is_refused" {
  command = plan
  variables {
    clients = { a = { password = { secret = "s", version = "1" }, reads = ["*"] } }
  }
  expect_failures = [var.clients]
}

run "a_client_is_not_the_superuser" {
  command = plan
  variables {
    clients = { admin = { password = { secret = "s", version = "1" } } }
  }
  expect_failures = [var.clients]
}

run "a_disk_for_less_than_a_week_is_refused" {
  command = plan
  variables {
    disk_gib = 5
  }
  expect_failures = [var.disk_gib]
}
