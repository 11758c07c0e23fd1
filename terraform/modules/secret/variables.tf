variable "project" {
  description = "Project of the secret."
  type        = string
}

variable "name" {
  description = "Id of the secret."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,62}$", var.name))
    error_message = "a secret's name is of [a-z0-9-] and begins with a letter, got ${var.name}"
  }
}

variable "value" {
  description = "Value of the version that is written; without effect once the revision is written."
  type        = string
  ephemeral   = true
  sensitive   = true
}

variable "revision" {
  description = "Number that is raised to write another value."
  type        = number
  default     = 1
}

variable "readers" {
  description = "Members that read the value."
  type        = map(string)
}

variable "labels" {
  description = "Labels of the secret."
  type        = map(string)
}
