# Cloud Composer 3 with the DAGs of the archive plane. It costs some $300 a month and more even when nothing runs: the same
# daily schedule without it is the job `daily` of environments/history.tf.
resource "google_storage_bucket" "dags" {
  #checkov:skip=CKV_GCP_62:Composer's own logs have what it reads
  #checkov:skip=CKV_GCP_78:the DAGs come from the artifacts of each deploy
  project                     = var.project
  name                        = "${var.project}-dags"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true
  labels                      = var.labels
  soft_delete_policy {
    retention_duration_seconds = 0
  }
}

resource "google_storage_bucket_iam_member" "dags" {
  bucket = google_storage_bucket.dags.name
  role   = "roles/storage.objectUser"
  member = "serviceAccount:${var.account}"
}

resource "google_composer_environment" "this" {
  project = var.project
  name    = "pipeline"
  region  = var.region
  labels  = var.labels

  storage_config {
    bucket = google_storage_bucket.dags.name
  }

  config {
    environment_size           = "ENVIRONMENT_SIZE_SMALL"
    enable_private_environment = true
    enable_private_builds_only = true

    node_config {
      service_account = var.account
    }

    software_config {
      image_version = var.image_version
      env_variables = var.environ
      airflow_config_overrides = {
        core-dags_are_paused_at_creation = "False"
        # Without it, each DAG file is read again every 30 s; they change with a deploy only.
        scheduler-min_file_process_interval = "300"
      }
    }

    maintenance_window {
      start_time = "2026-01-03T06:00:00Z"
      end_time   = "2026-01-03T10:00:00Z"
      recurrence = "FREQ=WEEKLY;BYDAY=SA,SU,TU"
    }

    workloads_config {
      scheduler {
        cpu        = 0.5
        memory_gb  = 2
        storage_gb = 1
        count      = 1
      }
      dag_processor {
        cpu        = 1
        memory_gb  = 2
        storage_gb = 1
        count      = 1
      }
      triggerer {
        cpu       = 0.5
        memory_gb = 1
        count     = 1
      }
      web_server {
        cpu        = 0.5
        memory_gb  = 2
        storage_gb = 1
      }
      worker {
        cpu        = 0.5
        memory_gb  = 2
        storage_gb = 1
        min_count  = 1
        max_count  = var.workers
      }
    }
  }

  depends_on = [google_storage_bucket_iam_member.dags]
}
