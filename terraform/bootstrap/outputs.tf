output "state_bucket" {
  description = "Bucket of Terraform's state."
  value       = google_storage_bucket.state.name
}

output "artifact_bucket" {
  description = "Bucket of artifacts."
  value       = google_storage_bucket.artifacts.name
}

output "registry" {
  description = "Full name of the registry of images."
  value       = google_artifact_registry_repository.images.id
}

output "registry_host" {
  description = "Where images are pushed, HOST/PROJECT/REPOSITORY."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "builder" {
  description = "Full name of the account that builds functions."
  value       = google_service_account.builder.name
}
