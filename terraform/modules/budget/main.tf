# A budget of the project: email at half, at all, and when the forecast exceeds it. It ends nothing.
resource "google_billing_budget" "this" {
  billing_account = var.billing_account
  display_name    = "Bitcoin pipeline (${var.project})"

  budget_filter {
    projects               = ["projects/${var.project_number}"]
    credit_types_treatment = "EXCLUDE_ALL_CREDITS"
  }

  amount {
    specified_amount {
      currency_code = var.currency
      units         = tostring(var.amount)
    }
  }

  threshold_rules {
    threshold_percent = 0.5
  }
  threshold_rules {
    threshold_percent = 1.0
  }
  threshold_rules {
    threshold_percent = 1.0
    spend_basis       = "FORECASTED_SPEND"
  }

  dynamic "all_updates_rule" {
    for_each = var.channel == null ? [] : [var.channel]
    content {
      monitoring_notification_channels = [all_updates_rule.value]
    }
  }
}
