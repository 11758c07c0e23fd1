variable "project" {
  description = "Project that is prepared."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "a project id is 6 to 30 of [a-z0-9-], begins with a letter and ends without a dash, got ${var.project}"
  }
}

variable "region" {
  description = "Region of the buckets and of the registry, that of the environment."
  type        = string
  default     = "europe-west1"
  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region)) && !startswith(var.region, "us-")
    error_message = "a region such as europe-west1 outside the US, where Bybit answers 403, got ${var.region}"
  }
}

variable "labels" {
  description = "Labels of everything that has labels."
  type        = map(string)
  default     = { app = "bitcoin-pipeline" }
}
