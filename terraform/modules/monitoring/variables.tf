variable "project" {
  description = "Project that is watched."
  type        = string
}

variable "email" {
  description = "Address that alerts go to."
  type        = string
  validation {
    condition     = can(regex("^[^@ ]+@[^@ ]+[.][^@ ]+$", var.email))
    error_message = "an email address, got ${var.email}"
  }
}

variable "has_live" {
  description = "Whether there is a live plane."
  type        = bool
}

variable "broker_disk_gib" {
  description = "Size of the broker's data disk, of which 80 % alert; without a live plane of no effect."
  type        = number
  default     = 10
}

variable "labels" {
  description = "Labels of alerts."
  type        = map(string)
}
