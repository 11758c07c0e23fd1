# One machine with Flink 2.2, whose job goes on from its bucket.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project         = "demo-project"
  region          = "europe-west1"
  zone            = "europe-west1-b"
  subnetwork      = "projects/demo-project/regions/europe-west1/subnetworks/pipeline"
  account         = "candles-stream@demo-project.iam.gserviceaccount.com"
  bundle          = { bucket = "demo-project-artifacts", object = "flink/candles-0000000000000000000000000000000000000000000000000000000000000000.zip" }
  machine         = "e2-standard-2"
  taskmanager_mib = 2048
  environ         = { KAFKA_BOOTSTRAP_SERVERS = "broker.pipeline.internal:9093", PGHOST = "postgres.pipeline.internal", PGDATABASE = "live", PGUSER = "candles" }
  secrets         = { kafka_password = { secret = "s", version = "1" }, kafka_ca = { secret = "s", version = "1" }, postgres_password = { secret = "s", version = "1" }, postgres_ca = { secret = "s", version = "1" } }
  labels          = {}
}

run "checkpoints_outlive_the_cluster" {
  assert {
    condition     = output.environ["CANDLES_CHECKPOINTS"] == "gs://demo-project-flink/checkpoints"
    error_message = "checkpoints are in the bucket"
  }
  assert {
    condition     = google_storage_bucket.this.soft_delete_policy[0].retention_duration_seconds == 0
    error_message = "replaced checkpoints must not be billed for a week"
  }
  assert {
    condition     = google_dataproc_cluster.this.cluster_config[0].gce_cluster_config[0].internal_ip_only
    error_message = "no public address"
  }
  assert {
    condition     = google_dataproc_cluster.this.cluster_config[0].software_config[0].override_properties["dataproc:dataproc.allow.zero.workers"] == "true"
    error_message = "one machine is a cluster without workers"
  }
}

run "a_changed_setting_is_another_cluster" {
  assert {
    condition     = google_dataproc_cluster.this.cluster_config[0].gce_cluster_config[0].metadata["candles-services"] != "gs://demo-project-flink/services/${sha256("")}" && length(google_storage_bucket_object.service) == 7
    error_message = "the metadata names the folder of the services by their hash"
  }
}

run "an_image_with_flink_1_is_refused" {
  command = plan
  variables {
    image_version = "2.3-debian12"
  }
  expect_failures = [var.image_version]
}

run "a_small_task_manager_is_refused" {
  command = plan
  variables {
    taskmanager_mib = 512
  }
  expect_failures = [var.taskmanager_mib]
}

run "a_machine_without_room_is_refused" {
  command = plan
  variables {
    machine = "e2-custom-2-3840"
  }
  expect_failures = [google_dataproc_cluster.this]
}

run "the_smallest_machine_has_room" {
  command = plan
  variables {
    machine         = "e2-custom-2-4096"
    taskmanager_mib = 1536
  }
}

run "a_machine_of_unknown_memory_is_refused" {
  command = plan
  variables {
    machine = "e2-highcpu-8"
  }
  expect_failures = [google_dataproc_cluster.this]
}

run "a_shared_core_is_refused" {
  command = plan
  variables {
    machine = "e2-medium"
  }
  expect_failures = [var.machine]
}

run "a_disk_below_the_image_is_refused" {
  command = plan
  variables {
    disk = { gib = 30 }
  }
  expect_failures = [var.disk]
}

run "every_parallel_task_has_a_slot" {
  variables {
    parallelism = 4
  }
  assert {
    condition     = strcontains(google_storage_bucket_object.service["config.yaml"].content, "taskmanager.numberOfTaskSlots: 4\nparallelism.default: 4\n")
    error_message = "the one TaskManager has a slot for each parallel task"
  }
}

run "more_tasks_than_partitions_are_refused" {
  command = plan
  variables {
    parallelism = 8
  }
  expect_failures = [var.parallelism]
}
