output "seed" {
  description = "Text that passwords follow from."
  value       = jsondecode(ephemeral.google_secret_manager_secret_version.this.secret_data).seed
  ephemeral   = true
  sensitive   = true
}

output "broker_tls" {
  description = "The broker's key, its certificate and that of its authority, as PEM."
  value       = jsondecode(ephemeral.google_secret_manager_secret_version.this.secret_data).broker_tls
  ephemeral   = true
  sensitive   = true
}
