output "reference" {
  description = "Name and version of the secret, once its readers may read it."
  value = {
    secret  = google_secret_manager_secret.this.secret_id
    version = google_secret_manager_secret_version.this.version
  }
  depends_on = [google_secret_manager_secret_iam_member.reader]
}

output "revision" {
  description = "Number of the revision, by which what is made from the value follows a change."
  value       = var.revision
}

output "value" {
  description = "The stored value."
  value       = ephemeral.google_secret_manager_secret_version.this.secret_data
  ephemeral   = true
  sensitive   = true
}
