output "lake" {
  description = "Name of the lake's bucket."
  value       = google_storage_bucket.lake.name
}

output "staging" {
  description = "Name of the bucket of temporary objects."
  value       = google_storage_bucket.staging.name
}
