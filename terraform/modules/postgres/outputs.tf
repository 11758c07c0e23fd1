output "host" {
  description = "Name of the instance in the private zone."
  value       = local.host
  depends_on  = [google_dns_record_set.this]
}

output "database" {
  description = "Name of the database."
  value       = google_sql_database.live.name
}

output "owner" {
  description = "Login of the set-up job."
  value       = google_sql_user.owner.name
}

output "ca" {
  description = "Secret that holds the certificate of the instance's authority, once its readers may read it."
  value = {
    secret  = google_secret_manager_secret.ca.secret_id
    version = google_secret_manager_secret_version.ca.version
  }
  depends_on = [google_secret_manager_secret_iam_member.ca]
}

output "instance" {
  description = "Name of the instance."
  value       = google_sql_database_instance.this.name
}
