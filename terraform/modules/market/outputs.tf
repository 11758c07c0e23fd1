output "dataset" {
  description = "Id of the dataset."
  value       = google_bigquery_dataset.market.dataset_id
}

output "location" {
  description = "Location of the dataset, which every job on it must name."
  value       = google_bigquery_dataset.market.location
}
