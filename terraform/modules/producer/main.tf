# The producer as a worker pool of Cloud Run: no port to the outside, one instance. A deploy overlaps for a moment, which the
# ids of trades make harmless.
resource "google_cloud_run_v2_worker_pool" "this" {
  project             = var.project
  name                = "producer"
  location            = var.region
  deletion_protection = false # it keeps nothing
  labels              = var.labels

  scaling {
    manual_instance_count = 1
  }

  template {
    service_account = var.account

    vpc_access {
      egress = "PRIVATE_RANGES_ONLY" # the exchange is reached directly, the broker through the network
      network_interfaces {
        network    = var.network.network
        subnetwork = var.network.subnetwork
      }
    }

    containers {
      image = var.image
      resources {
        limits = { cpu = var.size.cpu, memory = "${var.size.memory_mib}Mi" }
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

      liveness_probe {
        http_get {
          path = "/live"
          port = 8080
        }
        initial_delay_seconds = 60
        period_seconds        = 30
        timeout_seconds       = 5
        failure_threshold     = 4
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

  # `pipeline live pause` sets it to 0, and a deploy does not undo that.
  lifecycle {
    ignore_changes = [scaling[0].manual_instance_count]
  }
}
