# Every alert reaches a person and says what to do.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project  = "demo-project"
  email    = "ops@example.com"
  has_live = true
  labels   = {}
}

run "alerts_notify_and_teach" {
  assert {
    condition     = alltrue([for policy in google_monitoring_alert_policy.threshold : length(policy.notification_channels) == 1 && length(policy.documentation[0].content) > 40])
    error_message = "an alert without a channel or a text helps nobody"
  }
  assert {
    condition     = length(google_monitoring_alert_policy.threshold) == 9 && length(google_monitoring_alert_policy.absence) == 2
    error_message = "lag, gaps, unconfirmed minutes, failed days, batches, the daily job, errors, two disks, and two silences"
  }
}

run "history_has_no_alert_on_the_feed" {
  variables {
    has_live = false
  }
  assert {
    condition     = length(google_monitoring_alert_policy.threshold) == 4 && length(google_monitoring_alert_policy.absence) == 0
    error_message = "without a live plane the feed is always silent"
  }
}

run "a_word_is_no_address" {
  command = plan
  variables {
    email = "ops"
  }
  expect_failures = [var.email]
}
