output "reference" {
  description = "Name and version of the secret, once its readers may read it."
  value = {
    secret  = google_secret_manager_secret.this.secret_id
    version = google_secret_manager_secret_version.this.version
  }
  depends_on = [google_secret_manager_secret_iam_member.reader]
}
