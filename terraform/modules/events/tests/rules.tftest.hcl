# A push carries the wanted types only, with the identity of its caller, and what fails is kept.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project        = "demo-project"
  project_number = "123456789012"
  labels         = {}
  push           = { repair = { endpoint = "https://f.example", caller = "a@b.c", types = ["gap.opened"], ack_deadline_seconds = 60 } }
}

run "a_push_is_filtered_authenticated_and_has_a_dead_letter_topic" {
  assert {
    condition     = google_pubsub_subscription.push["repair"].filter == "attributes.type = \"gap.opened\""
    error_message = "only the named types are pushed"
  }
  assert {
    condition     = google_pubsub_subscription.push["repair"].push_config[0].oidc_token[0].audience == "https://f.example"
    error_message = "the audience is the function"
  }
  assert {
    condition     = google_pubsub_subscription.push["repair"].dead_letter_policy[0].max_delivery_attempts == 10
    error_message = "ten attempts"
  }
  assert {
    condition     = google_pubsub_subscription_iam_member.push["repair"].member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    error_message = "Pub/Sub acknowledges what it moves"
  }
  assert {
    condition     = google_pubsub_subscription.dead.expiration_policy[0].ttl == ""
    error_message = "dead letters are kept though nobody reads"
  }
}

run "a_deadline_out_of_range_is_refused" {
  command = plan
  variables {
    push = { a = { endpoint = "https://f.example", caller = "a@b.c", types = ["gap.opened"], ack_deadline_seconds = 900 } }
  }
  expect_failures = [var.push]
}

run "a_type_of_another_form_is_refused" {
  command = plan
  variables {
    push = { a = { endpoint = "https://f.example", caller = "a@b.c", types = ["gap opened"], ack_deadline_seconds = 60 } }
  }
  expect_failures = [var.push]
}

run "a_plain_address_is_refused" {
  command = plan
  variables {
    push = { a = { endpoint = "http://f.example", caller = "a@b.c", types = ["gap.opened"], ack_deadline_seconds = 60 } }
  }
  expect_failures = [var.push]
}
