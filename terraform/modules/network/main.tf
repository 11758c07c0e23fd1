# The network of batches and of the live plane: two subnets without public addresses, from which Google's services are reached
# privately. There is no other way out: images and packages come from the project's own registry and bucket. The live plane
# adds Google's own network of Cloud SQL, and a private DNS zone.
resource "google_compute_network" "this" {
  #checkov:skip=CKV2_GCP_18:firewall rules stand with what they open: here for batches, in modules/broker for the broker
  project                         = var.project
  name                            = "pipeline"
  auto_create_subnetworks         = false
  delete_default_routes_on_create = false
}

resource "google_compute_subnetwork" "this" {
  #checkov:skip=CKV_GCP_76:the subnet has no IPv6
  project                  = var.project
  name                     = "pipeline"
  region                   = var.region
  network                  = google_compute_network.this.id
  ip_cidr_range            = var.range
  private_ip_google_access = true

  dynamic "log_config" {
    for_each = var.flow_logs ? [1] : []
    content {
      aggregation_interval = "INTERVAL_10_MIN"
      flow_sampling        = 0.1
      metadata             = "EXCLUDE_ALL_METADATA"
    }
  }
}

# Batches have a subnet of their own, as their machines must reach each other on every port.
resource "google_compute_subnetwork" "batches" {
  #checkov:skip=CKV_GCP_76:the subnet has no IPv6
  #checkov:skip=CKV_GCP_26:a batch talks to its own machines and to Google
  project                  = var.project
  name                     = "batches"
  region                   = var.region
  network                  = google_compute_network.this.id
  ip_cidr_range            = var.batch_range
  private_ip_google_access = true
}

# Dataproc demands it: driver and executors call each other on any port.
resource "google_compute_firewall" "batches" {
  project            = var.project
  name               = "batches"
  network            = google_compute_network.this.id
  description        = "Between the machines of batches"
  direction          = "INGRESS"
  source_ranges      = [var.batch_range]
  destination_ranges = [var.batch_range]
  allow {
    protocol = "all"
  }
}

# Private service access: the range in which Google places Cloud SQL.
resource "google_compute_global_address" "services" {
  count         = var.has_live ? 1 : 0
  project       = var.project
  name          = "pipeline-services"
  purpose       = "VPC_PEERING"
  labels        = var.labels
  address_type  = "INTERNAL"
  prefix_length = 20
  network       = google_compute_network.this.id
}

resource "google_service_networking_connection" "services" {
  count                   = var.has_live ? 1 : 0
  network                 = google_compute_network.this.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.services[0].name]
}

resource "google_dns_managed_zone" "internal" {
  #checkov:skip=CKV_GCP_16:DNSSEC is for public zones
  count       = var.has_live ? 1 : 0
  project     = var.project
  name        = "pipeline-internal"
  dns_name    = "pipeline.internal."
  description = "Names of the live plane, which the broker's certificate holds"
  visibility  = "private"
  labels      = var.labels
  private_visibility_config {
    networks {
      network_url = google_compute_network.this.id
    }
  }
}
