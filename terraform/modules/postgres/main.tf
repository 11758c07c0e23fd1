# Postgres of the live plane on Cloud SQL: a private address, encrypted connections only, backups. The set-up job makes the
# tables and the logins of the deployables; Terraform makes only the login of that job.
locals {
  host = "postgres.${trimsuffix(var.domain, ".")}"
}

resource "google_sql_database_instance" "this" {
  #checkov:skip=CKV_GCP_6:ssl_mode ENCRYPTED_ONLY refuses plain connections; the check reads the older require_ssl
  #checkov:skip=CKV_GCP_79:17 is a version on which the statements of the set-up job are tested
  #checkov:skip=CKV_GCP_108:a host name in the log costs a lookup for each connection, and the address is there
  #checkov:skip=CKV_GCP_109:both levels are error; the check takes the first flag only
  #checkov:skip=CKV_GCP_110:pgAudit records who read what, and everything here is public market data
  #checkov:skip=CKV_GCP_111:statements hold a row for each candle, at hundreds a minute
  #checkov:skip=CKV2_GCP_13:durations of hundreds of statements a minute; Query Insights has them summed up
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

    database_flags {
      name  = "log_checkpoints"
      value = "on"
    }
    database_flags {
      name  = "log_connections"
      value = "on"
    }
    database_flags {
      name  = "log_disconnections"
      value = "on"
    }
    database_flags {
      name  = "log_hostname"
      value = "off" # a lookup for each connection
    }
    database_flags {
      name  = "log_lock_waits"
      value = "on"
    }
    database_flags {
      name  = "log_min_error_statement"
      value = "error"
    }
    database_flags {
      name  = "log_min_messages"
      value = "error"
    }
    database_flags {
      name  = "log_min_duration_statement"
      value = "-1" # no statement with its values in the log
    }
    database_flags {
      name  = "log_temp_files"
      value = "0"
    }
  }
}

# Programs connect to a name, which stays when the address does not.
resource "google_dns_record_set" "this" {
  project      = var.project
  managed_zone = var.zone_name
  name         = "${local.host}."
  type         = "A"
  ttl          = 60
  rrdatas      = [google_sql_database_instance.this.private_ip_address]
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
