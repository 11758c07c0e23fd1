# The dashboard as a service of Cloud Run. It has no login of its own: either Google's sign-in in front of it (IAP) or the
# caller's own token (IAM) admits its viewers.
resource "google_cloud_run_v2_service" "this" {
  project             = var.project
  name                = "dashboard"
  location            = var.region
  deletion_protection = false # it keeps nothing
  ingress             = "INGRESS_TRAFFIC_ALL"
  iap_enabled         = var.iap
  labels              = var.labels

  scaling {
    min_instance_count = 0
    max_instance_count = var.size.instances
  }

  template {
    service_account                  = var.account
    max_instance_request_concurrency = 1000    # below the 1,100 streams at which an instance refuses
    timeout                          = "3600s" # streams end by themselves after 45 to 50 minutes

    vpc_access {
      egress = "PRIVATE_RANGES_ONLY"
      network_interfaces {
        network    = var.network.network
        subnetwork = var.network.subnetwork
      }
    }

    containers {
      image = var.image

      ports {
        container_port = 8080
      }

      resources {
        limits            = { cpu = var.size.cpu, memory = "${var.size.memory_mib}Mi" }
        cpu_idle          = true
        startup_cpu_boost = true
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

      startup_probe {
        http_get {
          path = "/live"
          port = 8080
        }
        period_seconds    = 5
        timeout_seconds   = 4
        failure_threshold = 12
      }

      liveness_probe {
        http_get {
          path = "/live"
          port = 8080
        }
        period_seconds    = 30
        timeout_seconds   = 5
        failure_threshold = 4
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

resource "google_cloud_run_v2_service_iam_member" "viewer" {
  for_each = var.iap ? toset([]) : var.viewers
  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_service.this.name
  role     = "roles/run.invoker"
  member   = each.value
}

# With IAP, Google's proxy calls the service, and the viewers are its own.
resource "google_cloud_run_v2_service_iam_member" "proxy" {
  count    = var.iap ? 1 : 0
  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_service.this.name
  role     = "roles/run.invoker"
  member   = "serviceAccount:service-${var.project_number}@gcp-sa-iap.iam.gserviceaccount.com"
}

resource "google_iap_web_cloud_run_service_iam_member" "viewer" {
  for_each               = var.iap ? var.viewers : toset([])
  project                = var.project
  location               = var.region
  cloud_run_service_name = google_cloud_run_v2_service.this.name
  role                   = "roles/iap.httpsResourceAccessor"
  member                 = each.value
}
