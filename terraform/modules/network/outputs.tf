output "network" {
  description = "Full name of the network."
  value       = google_compute_network.this.id
}

output "subnetwork" {
  description = "Full name of the subnet."
  value       = google_compute_subnetwork.this.id
}

output "batches" {
  description = "Full name of the subnet of batches, once their machines reach each other in it."
  value       = google_compute_subnetwork.batches.id
  depends_on  = [google_compute_firewall.batches]
}

output "range" {
  description = "Addresses of the subnet."
  value       = google_compute_subnetwork.this.ip_cidr_range
}

output "services" {
  description = "Full name of the network, once Google's services have their range in it; null without a live plane."
  value       = one(google_service_networking_connection.services[*].network)
}

output "zone" {
  description = "Name of the private DNS zone; null without a live plane."
  value       = one(google_dns_managed_zone.internal[*].name)
}
