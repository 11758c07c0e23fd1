# The topic of the pipeline's events; the attribute `type` holds the kind of an event. Each push subscription delivers the
# events of some types to one function; what fails for good goes to the dead-letter topic, where it stays for a week.
locals {
  pubsub = "serviceAccount:service-${var.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_topic" "events" {
  #checkov:skip=CKV_GCP_83:public market data; Google's own encryption at rest needs no key of ours
  project                    = var.project
  name                       = "market-events"
  message_retention_duration = "604800s"
  labels                     = var.labels
}

resource "google_pubsub_topic" "dead" {
  #checkov:skip=CKV_GCP_83:public market data; Google's own encryption at rest needs no key of ours
  project = var.project
  name    = "market-events-dead"
  labels  = var.labels
}

# Holds what could not be delivered, for a look at it: gcloud pubsub subscriptions pull market-events-dead
resource "google_pubsub_subscription" "dead" {
  project                    = var.project
  name                       = "market-events-dead"
  topic                      = google_pubsub_topic.dead.id
  message_retention_duration = "604800s"
  labels                     = var.labels
  expiration_policy {
    ttl = ""
  }
}

# The events of the last week, for a look at them: gcloud pubsub subscriptions pull market-events-recent
resource "google_pubsub_subscription" "recent" {
  project                    = var.project
  name                       = "market-events-recent"
  topic                      = google_pubsub_topic.events.id
  message_retention_duration = "604800s"
  labels                     = var.labels
  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_subscription" "push" {
  for_each                   = var.push
  project                    = var.project
  name                       = "market-events-${each.key}"
  topic                      = google_pubsub_topic.events.id
  filter                     = join(" OR ", [for type in each.value.types : "attributes.type = \"${type}\""])
  ack_deadline_seconds       = each.value.ack_deadline_seconds
  message_retention_duration = "604800s"
  labels                     = var.labels

  push_config {
    push_endpoint = each.value.endpoint
    oidc_token {
      service_account_email = each.value.caller
      audience              = each.value.endpoint
    }
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead.id
    max_delivery_attempts = 10
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub itself publishes to the dead-letter topic and acknowledges what it moved there.
resource "google_pubsub_topic_iam_member" "dead" {
  project = var.project
  topic   = google_pubsub_topic.dead.name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub
}

resource "google_pubsub_subscription_iam_member" "push" {
  for_each     = google_pubsub_subscription.push
  project      = var.project
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = var.publishers
  project  = var.project
  topic    = google_pubsub_topic.events.name
  role     = "roles/pubsub.publisher"
  member   = each.value
}
