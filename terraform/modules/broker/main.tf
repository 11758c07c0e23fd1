# Redpanda on one machine without a public address. Its data disk outlives the machine; TLS and a SASL user for each client;
# what a user may do is an access rule by topic and by group.
locals {
  host = "broker.${trimsuffix(var.domain, ".")}"
  port = 9093

  rules = flatten([
    for user, client in var.clients : concat(
      [for topic in client.reads : "${user} allow read,describe topic ${topic}"],
      [for topic in client.writes : "${user} allow write,describe topic ${topic}"],
      [for group in client.groups : "${user} allow read,describe group ${group}"],
      length(client.writes) > 0 ? ["${user} allow idempotent_write cluster"] : [],
      [for topic in client.creates : "${user} allow create,describe,describe_configs,alter_configs topic ${topic}"],
    )
  ])

  # Bytes that a partition keeps, so that the disk is never full: the partitions of all topics that clients write, together,
  # take three quarters of it, and leave storage_min_free_bytes, below which Redpanda refuses writes, and a GiB for its own
  # records and the newest segments. A topic's own retention.bytes goes before this one.
  topics    = jsondecode(file("${path.module}/../../../src/bitcoin_pipeline/schemas/topics.json"))
  written   = distinct(flatten([for client in values(var.clients) : client.writes]))
  own       = { for topic in local.written : topic => try(tonumber(local.topics[topic].config["retention.bytes"]), null) }
  own_bytes = sum(concat([0], [for topic, bytes in local.own : local.topics[topic].partitions * bytes if bytes != null]))
  sharing   = sum(concat([0], [for topic, bytes in local.own : local.topics[topic].partitions if bytes == null]))
  gib       = 1073741824
  min_free  = 2 * local.gib
  kept      = min(var.disk_gib * local.gib - local.min_free - local.gib, 0.75 * var.disk_gib * local.gib)
  retention = floor((local.kept - local.own_bytes) / max(1, local.sharing))

  secrets = merge(
    { for user, client in var.clients : user => client.password },
    { admin = var.admin_password, tls = var.tls },
  )

  environment = {
    PROJECT    = var.project
    IMAGE      = var.image
    MEMORY_MIB = var.memory_mib
    ADDRESS    = "${local.host}:${local.port}"
    RETENTION  = local.retention
    SECRETS    = join(" ", [for file, each in local.secrets : "${file}=${each.secret}/${each.version}"])
  }

  files = {
    "redpanda/environment"                    = join("\n", [for name, value in local.environment : "${name}=\"${value}\""])
    "redpanda/clients"                        = "${join("\n", local.rules)}\n"
    "redpanda/prepare-disk"                   = file("${path.module}/files/prepare-disk")
    "redpanda/fetch-secrets"                  = file("${path.module}/files/fetch-secrets")
    "redpanda/pull-image"                     = file("${path.module}/files/pull-image")
    "redpanda/set-clients"                    = file("${path.module}/files/set-clients")
    "redpanda/redpanda.yaml"                  = templatefile("${path.module}/files/redpanda.yaml", { address = google_compute_address.this.address, port = local.port, host = local.host })
    "redpanda/.bootstrap.yaml"                = templatefile("${path.module}/files/bootstrap.yaml", { retention = local.retention, min_free = local.min_free })
    "systemd/system/redpanda.service"         = file("${path.module}/files/redpanda.service")
    "systemd/system/redpanda-clients.service" = file("${path.module}/files/redpanda-clients.service")
  }

  # Container-Optimized OS reads it on every boot: the files are in memory, and the disk alone keeps anything.
  cloud_config = yamlencode({
    write_files = [for path, content in local.files : { path = "/etc/${path}", permissions = "0644", owner = "root", content = content }]
    runcmd      = ["systemctl daemon-reload", "systemctl start --no-block redpanda.service redpanda-clients.service"]
  })
}

resource "google_compute_address" "this" {
  project      = var.project
  labels       = var.labels
  name         = "broker"
  region       = var.region
  subnetwork   = var.subnetwork
  address_type = "INTERNAL"
}

resource "google_dns_record_set" "this" {
  project      = var.project
  managed_zone = var.zone_name
  name         = "${local.host}."
  type         = "A"
  ttl          = 60
  rrdatas      = [google_compute_address.this.address]
}

resource "google_compute_disk" "data" {
  #checkov:skip=CKV_GCP_37:public market data; Google's own encryption at rest needs no key of ours
  project                   = var.project
  name                      = "broker-data"
  zone                      = var.zone
  type                      = "pd-balanced"
  size                      = var.disk_gib
  labels                    = var.labels
  physical_block_size_bytes = 4096

  create_snapshot_before_destroy        = true
  create_snapshot_before_destroy_prefix = "broker-data-last"
}

resource "google_compute_resource_policy" "snapshots" {
  project = var.project
  name    = "broker-data-daily"
  region  = var.region
  snapshot_schedule_policy {
    schedule {
      daily_schedule {
        days_in_cycle = 1
        start_time    = "04:00"
      }
    }
    retention_policy {
      max_retention_days    = 3
      on_source_disk_delete = "KEEP_AUTO_SNAPSHOTS"
    }
    snapshot_properties {
      labels            = var.labels
      storage_locations = [var.region]
    }
  }
}

resource "google_compute_disk_resource_policy_attachment" "snapshots" {
  project = var.project
  name    = google_compute_resource_policy.snapshots.name
  disk    = google_compute_disk.data.name
  zone    = var.zone
}

resource "google_compute_instance" "this" {
  #checkov:skip=CKV_GCP_38:public market data; Google's own encryption at rest needs no key of ours
  project                   = var.project
  name                      = "broker"
  zone                      = var.zone
  machine_type              = var.machine
  allow_stopping_for_update = true
  deletion_protection       = var.protected
  labels                    = var.labels

  boot_disk {
    initialize_params {
      image = var.boot_image
      size  = 10
      type  = "pd-standard" # only read, when the machine starts
    }
  }

  attached_disk {
    source      = google_compute_disk.data.id
    device_name = "data"
  }

  network_interface {
    subnetwork = var.subnetwork
    network_ip = google_compute_address.this.address
  }

  service_account {
    email  = var.account
    scopes = ["cloud-platform"]
  }

  shielded_instance_config {
    enable_secure_boot          = true
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  metadata = {
    user-data                 = "#cloud-config\n${local.cloud_config}"
    enable-oslogin            = "TRUE"
    block-project-ssh-keys    = "true"
    google-logging-enabled    = "true"
    google-monitoring-enabled = "true"
    cos-metrics-enabled       = "true"
  }

  # A changed file or image of Redpanda applies on the machine's next start: gcloud compute instances reset broker
  lifecycle {
    ignore_changes = [boot_disk[0].initialize_params[0].image] # a newer image of the family replaces no running broker
  }
}

resource "google_compute_firewall" "clients" {
  project                 = var.project
  name                    = "broker-clients"
  network                 = var.network
  description             = "Clients of the broker, of Cloud Run and of the Flink cluster, in the subnet"
  direction               = "INGRESS"
  source_ranges           = [var.client_range]
  target_service_accounts = [var.account]
  allow {
    protocol = "tcp"
    ports    = [tostring(local.port)]
  }
}
