# Postgres of the live plane on Cloud SQL: a private address, encrypted connections only, backups. The set-up job makes the
# tables and the logins of the deployables; Terraform makes only the login of that job.
resource "google_sql_database_instance" "this" {
  #checkov:skip=CKV_GCP_79:POSTGRES_17 is the version that the set-up job's statements were tested on
  #checkov:skip=CKV2_GCP_20:the skipped check is of MySQL's point in time recovery
  project             = var.project
  name                = "live"
  region              = var.region
  database_version    = "POSTGRES_17"
  deletion_protection = var.protected

  settings {
    edition                     = "ENTERPRISE" # the default edition since Postgres 16 has no small machines
    tier                        = var.tier
    availability_type           = "ZONAL" # candles of a lost zone come again from the topic and from BigQuery
    disk_type                   = "PD_SSD"
    disk_size                   = var.disk_gib
    disk_autoresize             = true
    disk_autoresize_limit       = var.disk_gib * 4
    deletion_protection_enabled = var.protected
    user_labels                 = var.labels

    ip_configuration {
      ipv4_enabled    = false
      private_network = var.network
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      start_time                     = "03:00"
      point_in_time_recovery_enabled = false # a day's backup and the topic's seven days restore every candle
      backup_retention_settings {
        retained_backups = 7
      }
    }

    insights_config {
      query_insights_enabled = true
    }

    maintenance_window {
      day  = 7
      hour = 3
    }

    dynamic "database_flags" {
      for_each = {
        log_checkpoints            = "on"
        log_connections            = "on"
        log_disconnections         = "on"
        log_lock_waits             = "on"
        log_min_messages           = "error"
        log_min_error_statement    = "error"
        log_min_duration_statement = "-1" # no statement with its values in the log
        log_temp_files             = "0"
      }
      content {
        name  = database_flags.key
        value = database_flags.value
      }
    }
  }
}

resource "google_sql_database" "live" {
  project  = var.project
  name     = "live"
  instance = google_sql_database_instance.this.name
}

resource "google_sql_user" "owner" {
  project             = var.project
  name                = var.owner
  instance            = google_sql_database_instance.this.name
  password_wo         = var.owner_password
  password_wo_version = var.owner_password_revision
  deletion_policy     = "ABANDON" # it owns tables, so Postgres would refuse to drop it
}

# The certificate of the instance's authority is public. It is a secret only because Cloud Run mounts secrets as files.
resource "google_secret_manager_secret" "ca" {
  #checkov:skip=CKV2_GCP_51:a public certificate
  project             = var.project
  secret_id           = "postgres-ca"
  deletion_protection = false
  labels              = var.labels
  replication {
    auto {}
  }
}

resource "google_secret_manager_secret_version" "ca" {
  secret      = google_secret_manager_secret.ca.id
  secret_data = google_sql_database_instance.this.server_ca_cert[0].cert
}

resource "google_secret_manager_secret_iam_member" "ca" {
  for_each  = var.clients
  project   = var.project
  secret_id = google_secret_manager_secret.ca.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = each.value
}
