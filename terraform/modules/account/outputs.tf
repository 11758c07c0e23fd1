output "email" {
  description = "Email of the account, once its roles on the project are granted."
  value       = google_service_account.this.email
  depends_on  = [google_project_iam_member.project]
}

output "member" {
  description = "The account as IAM policies name it."
  value       = google_service_account.this.member
}

output "id" {
  description = "Full resource name of the account."
  value       = "projects/${var.project}/serviceAccounts/${google_service_account.this.email}"
}
