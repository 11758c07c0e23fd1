output "topic" {
  description = "Full name of the topic of events, projects/P/topics/T."
  value       = google_pubsub_topic.events.id
}

output "subscriptions" {
  description = "Names of the push subscriptions."
  value       = { for key, each in google_pubsub_subscription.push : key => each.name }
}
