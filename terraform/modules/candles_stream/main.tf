# The Flink job candles on a Dataproc cluster of one machine: a session of Flink as system services, and the job's own
# recovery program, which submits the job from its newest checkpoint, after the cluster was replaced, too.
locals {
  folder = "${path.module}/files"
  run    = "/run/candles/secrets"

  environ = merge(var.environ, {
    KAFKA_SSL_CA_LOCATION    = "${local.run}/kafka-ca.pem"
    KAFKA_SASL_PASSWORD_FILE = "${local.run}/kafka-password"
    PGSSLMODE                = "verify-ca"
    PGSSLROOTCERT            = "${local.run}/postgres-ca.pem"
    PGPASSFILE               = "${local.run}/pgpass"
    FLINK_CONF_DIR           = "/etc/candles/conf"
    FLINK_LOG_DIR            = "/var/lib/candles"
    FLINK_REST_URL           = "http://127.0.0.1:8081"
    FLINK_CLIENT             = "/usr/lib/flink/bin/flink"
    CANDLES_CHECKPOINTS      = "gs://${google_storage_bucket.this.name}/checkpoints"
    CANDLES_LOCK             = "/run/candles/submission.lock"
    CANDLES_JARS             = "/opt/candles/jars"
    PATH                     = "/opt/candles/bin:/usr/lib/flink/bin:/usr/local/bin:/usr/bin:/bin"
    PYTHONPATH               = "/opt/candles:/opt/candles/packages"
  })

  # Names and versions of secrets, which fetch-secrets reads.
  secrets = {
    KAFKA_PASSWORD_SECRET    = var.secrets.kafka_password
    KAFKA_CA_SECRET          = var.secrets.kafka_ca
    POSTGRES_PASSWORD_SECRET = var.secrets.postgres_password
    POSTGRES_CA_SECRET       = var.secrets.postgres_ca
  }

  services = merge(
    { for file in setsubtract(fileset(local.folder, "*"), ["install", "config.yaml"]) : file => file("${local.folder}/${file}") },
    {
      "config.yaml" = templatefile("${local.folder}/config.yaml", { taskmanager_mib = var.taskmanager_mib, parallelism = var.parallelism })
      environment = join("", [
        for name, value in merge(local.environ, { for name, each in local.secrets : name => "${each.secret}/${each.version}" }) : "${name}=${value}\n"
      ])
    },
  )
  install = file("${local.folder}/install")

  # MiB of the machine by its type, whose name holds them or the number of its vCPUs; null for other types.
  machine_mib = try(
    tonumber(regex("custom-[0-9]+-([0-9]+)$", var.machine)[0]),
    tonumber(regex("-standard-([0-9]+)$", var.machine)[0]) * 4096,
    tonumber(regex("-highmem-([0-9]+)$", var.machine)[0]) * 8192,
    null,
  )

  # MiB of everything that runs on it. Those of Flink's two processes are the limits of its settings; the others are estimates,
  # as none of it was tried on Google. `install` stops all other services of the image.
  memory = {
    system         = 512 # the kernel, systemd, the guest agent
    dataproc_agent = 400
    log_agent      = 200
    jobmanager     = 704 # jobmanager.memory.process.size
    taskmanager    = var.taskmanager_mib
    recovery       = 128 # python -m candles_stream, whose modules take 55
    submission     = 320 # flink run, when the job is submitted
  }
}

resource "google_storage_bucket" "this" {
  #checkov:skip=CKV_GCP_62:only the job reads it
  #checkov:skip=CKV_GCP_78:Flink deletes checkpoints that newer ones replace; versions would keep each of them
  project                     = var.project
  name                        = "${var.project}-flink"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # without it the job begins in the topic, at a minute's start
  labels                      = var.labels

  # A checkpoint that a newer one replaces is deleted within minutes, and soft delete would bill each for a week.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  # What the cluster itself leaves in its staging folders.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = 30
      matches_prefix = ["google-cloud-dataproc-metainfo/"]
    }
  }
}

resource "google_storage_bucket_iam_member" "this" {
  bucket = google_storage_bucket.this.name
  role   = "roles/storage.objectUser"
  member = "serviceAccount:${var.account}"
}

resource "google_storage_bucket_object" "service" {
  for_each = toset(keys(local.services))
  bucket   = google_storage_bucket.this.name
  name     = "services/${sha256(jsonencode(local.services))}/${each.key}"
  content  = local.services[each.key]
}

resource "google_storage_bucket_object" "install" {
  bucket  = google_storage_bucket.this.name
  name    = "services/install-${sha256(local.install)}"
  content = local.install
}

resource "google_dataproc_cluster" "this" {
  #checkov:skip=CKV_GCP_91:public market data; Google's own encryption at rest needs no key of ours
  project = var.project
  name    = "candles"
  region  = var.region
  labels  = var.labels

  cluster_config {
    staging_bucket = google_storage_bucket.this.name
    temp_bucket    = google_storage_bucket.this.name

    gce_cluster_config {
      zone                   = var.zone
      subnetwork             = var.subnetwork
      internal_ip_only       = true
      service_account        = var.account
      service_account_scopes = ["cloud-platform"]

      metadata = {
        candles-bundle         = "gs://${var.bundle.bucket}/${var.bundle.object}"
        candles-services       = "gs://${google_storage_bucket.this.name}/services/${sha256(jsonencode(local.services))}"
        enable-oslogin         = "TRUE"
        block-project-ssh-keys = "TRUE"
      }

      shielded_instance_config {
        enable_secure_boot          = true
        enable_vtpm                 = true
        enable_integrity_monitoring = true
      }
    }

    master_config {
      num_instances = 1
      machine_type  = var.machine
      disk_config {
        boot_disk_type    = var.disk.type
        boot_disk_size_gb = var.disk.gib
      }
    }

    software_config {
      image_version       = var.image_version
      optional_components = ["FLINK"]
      override_properties = {
        "dataproc:dataproc.allow.zero.workers"         = "true"
        "dataproc:dataproc.logging.stackdriver.enable" = "true"
        # The job needs neither: its files are in buckets. `install` stops what cannot be left out here.
        "core:fs.defaultFS"                       = "gs://${google_storage_bucket.this.name}"
        "dataproc:dataproc.components.deactivate" = "hdfs hive-server2 hive-metastore mysql"
      }
    }

    initialization_action {
      script      = "gs://${google_storage_bucket_object.install.bucket}/${google_storage_bucket_object.install.name}"
      timeout_sec = 900
    }
  }

  lifecycle {
    precondition {
      condition     = local.machine_mib == null ? false : sum(values(local.memory)) <= local.machine_mib
      error_message = "everything on the machine needs ${sum(values(local.memory))} MiB, and ${var.machine} has ${local.machine_mib == null ? "an unknown number" : local.machine_mib}"
    }
  }

  depends_on = [google_storage_bucket_iam_member.this, google_storage_bucket_object.service]
}
