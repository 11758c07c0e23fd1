output "cluster" {
  description = "Name of the cluster."
  value       = google_dataproc_cluster.this.name
}

output "bucket" {
  description = "Bucket of the checkpoints."
  value       = google_storage_bucket.this.name
}

output "environ" {
  description = "Environment variables of the job and of its recovery program."
  value       = local.environ
}

output "secrets" {
  description = "Secrets that the services of the job read."
  value       = local.secrets
}
