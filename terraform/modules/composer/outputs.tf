output "url" {
  description = "Address of Airflow's page."
  value       = google_composer_environment.this.config[0].airflow_uri
}

output "bucket" {
  description = "Bucket whose folder dags/ holds the DAGs."
  value       = google_storage_bucket.dags.name
}
