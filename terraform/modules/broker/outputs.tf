output "address" {
  description = "Host and port that clients connect to."
  value       = "${local.host}:${local.port}"
  depends_on  = [google_dns_record_set.this, google_compute_firewall.clients]
}

output "instance" {
  description = "Name of the machine."
  value       = google_compute_instance.this.name
}

output "rules" {
  description = "The access rules of all users, one a line."
  value       = local.rules
}
