variable "project" {
  description = "Project of the network."
  type        = string
}

variable "region" {
  description = "Region of the subnet."
  type        = string
}

variable "range" {
  description = "Addresses of the subnet; Cloud Run takes several for each instance."
  type        = string
  default     = "10.10.0.0/20"
  validation {
    condition     = can(cidrnetmask(var.range)) && can(regex("^(10|172|192)[.]", var.range)) && tonumber(split("/", var.range)[1]) <= 24
    error_message = "a private range of at least 256 addresses, such as 10.10.0.0/20, got ${var.range}"
  }
}

variable "batch_range" {
  description = "Addresses of the subnet of batches, one for each of their machines."
  type        = string
  default     = "10.10.16.0/20"
  validation {
    condition     = can(cidrnetmask(var.batch_range)) && can(regex("^(10|172|192)[.]", var.batch_range)) && tonumber(split("/", var.batch_range)[1]) <= 24
    error_message = "a private range of at least 256 addresses, such as 10.10.16.0/20, got ${var.batch_range}"
  }
}

variable "has_live" {
  description = "Whether there is a live plane, which needs the range of Cloud SQL and the private zone."
  type        = bool
}

variable "flow_logs" {
  description = "Whether a tenth of the flows is logged."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels of the private zone."
  type        = map(string)
}
