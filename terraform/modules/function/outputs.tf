output "url" {
  description = "Address of the function, which is also the audience of the ID tokens that it accepts."
  value       = google_cloudfunctions2_function.this.service_config[0].uri
}

output "name" {
  description = "Name of the function and of its Cloud Run service."
  value       = google_cloudfunctions2_function.this.name
}

output "environ" {
  description = "Environment variables of the function."
  value       = var.program.environ
}
