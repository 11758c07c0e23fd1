variable "project" {
  description = "Project whose cost is watched."
  type        = string
}

variable "project_number" {
  description = "Its number."
  type        = string
}

variable "billing_account" {
  description = "Billing account of the project."
  type        = string
  validation {
    condition     = can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "a billing account such as 012345-6789AB-CDEF01, got ${var.billing_account}"
  }
}

variable "currency" {
  description = "Currency of the billing account."
  type        = string
  validation {
    condition     = can(regex("^[A-Z]{3}$", var.currency))
    error_message = "a currency such as EUR, that of the billing account, got ${var.currency}"
  }
}

variable "amount" {
  description = "Budget of a month, in whole units."
  type        = number
  validation {
    condition     = var.amount > 0 && floor(var.amount) == var.amount
    error_message = "a whole amount above 0, got ${var.amount}"
  }
}

variable "channel" {
  description = "Channel that is notified beside the account's administrators; null for none."
  type        = string
  default     = null
}
