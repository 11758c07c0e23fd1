# An amount in the currency of the account.
mock_provider "google" {
  source = "../../../tests/terraform/mocks"
}

variables {
  project         = "demo-project"
  project_number  = "123456789012"
  billing_account = "012345-6789AB-CDEF01"
  currency        = "EUR"
  amount          = 150
}

run "half_all_and_forecast" {
  assert {
    condition     = length(google_billing_budget.this.threshold_rules) == 3 && google_billing_budget.this.amount[0].specified_amount[0].units == "150"
    error_message = "three thresholds of the amount"
  }
}

run "a_name_is_no_billing_account" {
  command = plan
  variables {
    billing_account = "My account"
  }
  expect_failures = [var.billing_account]
}

run "a_word_is_no_currency" {
  command = plan
  variables {
    currency = "Euro"
  }
  expect_failures = [var.currency]
}

run "nothing_is_no_budget" {
  command = plan
  variables {
    amount = 0
  }
  expect_failures = [var.amount]
}
