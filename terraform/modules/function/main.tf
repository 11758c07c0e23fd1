# A function, the calls of its scheduler, and who may call it. Time limit, memory and concurrent calls of an instance are those
# of the core's schemas/functions.json, which the function's own budgets follow.
locals {
  limits  = jsondecode(file("${path.module}/../../../src/bitcoin_pipeline/schemas/functions.json"))[var.function]
  timeout = local.limits.timeout_seconds
  name    = replace(var.function, "_", "-")
}

resource "google_cloudfunctions2_function" "this" {
  #checkov:skip=CKV_GCP_124:the caller's identity is required (IAM); internal ingress would exclude Cloud Scheduler's own calls and the command on a laptop
  project     = var.project
  name        = local.name
  location    = var.region
  description = var.description
  labels      = var.labels

  build_config {
    runtime           = "python311"
    entry_point       = var.function
    service_account   = var.source_code.builder
    docker_repository = var.source_code.repository
    source {
      storage_source {
        bucket = var.source_code.bucket
        object = var.source_code.object
      }
    }
  }

  service_config {
    available_cpu                    = var.cpu
    available_memory                 = "${local.limits.memory_mib}Mi"
    max_instance_count               = var.instances
    max_instance_request_concurrency = local.limits.concurrency
    timeout_seconds                  = local.timeout
    service_account_email            = var.account
    environment_variables            = var.program.environ
    ingress_settings                 = "ALLOW_ALL"
    all_traffic_on_latest_revision   = true
    direct_vpc_egress                = var.network == null ? null : "VPC_EGRESS_PRIVATE_RANGES_ONLY"

    dynamic "direct_vpc_network_interface" {
      for_each = var.network == null ? [] : [var.network]
      content {
        network    = direct_vpc_network_interface.value.network
        subnetwork = direct_vpc_network_interface.value.subnetwork
      }
    }

    dynamic "secret_environment_variables" {
      for_each = var.program.secrets
      content {
        key        = secret_environment_variables.key
        project_id = var.project
        secret     = secret_environment_variables.value.secret
        version    = secret_environment_variables.value.version
      }
    }

    dynamic "secret_volumes" {
      for_each = var.program.files
      content {
        mount_path = dirname(secret_volumes.key)
        project_id = var.project
        secret     = secret_volumes.value.secret
        versions {
          path    = basename(secret_volumes.key)
          version = secret_volumes.value.version
        }
      }
    }
  }

  lifecycle {
    precondition {
      condition     = local.limits.concurrency == 1 || tonumber(var.cpu) >= 1
      error_message = "an instance with less than one vCPU takes one call at a time, and ${var.function} takes ${local.limits.concurrency}"
    }
  }
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = var.invokers
  project  = var.project
  location = var.region
  name     = google_cloudfunctions2_function.this.name
  role     = "roles/run.invoker"
  member   = each.value
}

resource "google_cloud_scheduler_job" "this" {
  count            = var.schedule == null ? 0 : 1
  project          = var.project
  name             = local.name
  region           = var.region
  description      = "Calls the function ${local.name}"
  schedule         = var.schedule.cron
  time_zone        = "Etc/UTC"
  attempt_deadline = "${local.timeout}s"

  # The next call does what a failed one has left.
  retry_config {
    retry_count = 0
  }

  http_target {
    http_method = "POST"
    uri         = google_cloudfunctions2_function.this.service_config[0].uri
    oidc_token {
      service_account_email = var.schedule.caller
      audience              = google_cloudfunctions2_function.this.service_config[0].uri
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.invoker]
}
