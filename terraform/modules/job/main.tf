# A job of Cloud Run, and the scheduler that starts it where it has a schedule.
resource "google_cloud_run_v2_job" "this" {
  project             = var.project
  name                = var.name
  location            = var.region
  deletion_protection = false # it keeps nothing
  labels              = var.labels

  template {
    task_count = 1
    template {
      service_account = var.account
      max_retries     = var.retries
      timeout         = "${var.timeout_seconds}s"

      dynamic "vpc_access" {
        for_each = var.network == null ? [] : [var.network]
        content {
          egress = "PRIVATE_RANGES_ONLY"
          network_interfaces {
            network    = vpc_access.value.network
            subnetwork = vpc_access.value.subnetwork
          }
        }
      }

      containers {
        image = var.image
        args  = var.arguments
        resources {
          limits = { cpu = "1", memory = "${var.memory_mib}Mi" }
        }

        dynamic "env" {
          for_each = var.program.environ
          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = var.program.secrets
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = env.value.secret
                version = env.value.version
              }
            }
          }
        }

        dynamic "volume_mounts" {
          for_each = var.program.files
          content {
            name       = volume_mounts.value.secret
            mount_path = dirname(volume_mounts.key)
          }
        }
      }

      dynamic "volumes" {
        for_each = var.program.files
        content {
          name = volumes.value.secret
          secret {
            secret = volumes.value.secret
            items {
              path    = basename(volumes.key)
              version = volumes.value.version
            }
          }
        }
      }
    }
  }
}

resource "google_cloud_run_v2_job_iam_member" "caller" {
  count    = var.schedule == null ? 0 : 1
  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_job.this.name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${var.schedule.caller}"
}

resource "google_cloud_scheduler_job" "this" {
  count            = var.schedule == null ? 0 : 1
  project          = var.project
  name             = var.name
  region           = var.region
  description      = "Starts the job ${var.name}"
  schedule         = var.schedule.cron
  time_zone        = "Etc/UTC"
  attempt_deadline = "180s" # of the start alone

  retry_config {
    retry_count = 3
  }

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/${google_cloud_run_v2_job.this.id}:run"
    oauth_token {
      service_account_email = var.schedule.caller
    }
  }

  depends_on = [google_cloud_run_v2_job_iam_member.caller]
}
