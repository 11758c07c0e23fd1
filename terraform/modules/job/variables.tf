variable "project" {
  description = "Project of the job."
  type        = string
}

variable "region" {
  description = "Region of the job."
  type        = string
}

variable "image" {
  description = "Image by digest."
  type        = string
}

variable "account" {
  description = "Email of the account of the job."
  type        = string
}

variable "program" {
  description = "What the program finds when it starts: environment variables, those whose values are secrets, and secrets as files by their paths, each in a folder of its own."
  type = object({
    environ = map(string)
    secrets = optional(map(object({ secret = string, version = string })), {})
    files   = optional(map(object({ secret = string, version = string })), {})
  })
  validation {
    condition     = length(distinct([for path in keys(var.program.files) : dirname(path)])) == length(var.program.files)
    error_message = "each file needs a folder of its own, as a secret is mounted as a folder"
  }
}

variable "labels" {
  description = "Labels of the job."
  type        = map(string)
}

variable "name" {
  description = "Name of the job."
  type        = string
}

variable "arguments" {
  description = "Arguments of the program."
  type        = list(string)
  default     = []
}

variable "memory_mib" {
  description = "Memory."
  type        = number
  default     = 512
}

variable "retries" {
  description = "How often a failed run is tried again at once."
  type        = number
}

variable "timeout_seconds" {
  description = "Time limit of one try."
  type        = number
}

variable "network" {
  description = "Network and subnet that private addresses are reached through; null for none."
  type        = object({ network = string, subnetwork = string })
  default     = null
}

variable "schedule" {
  description = "Times in the form of cron (UTC), and the email of the account that starts the job; null for none."
  type        = object({ cron = string, caller = string })
  default     = null
  validation {
    condition     = var.schedule == null ? true : can(regex("^([0-9*/,-]+ ){4}[0-9*/,-]+$", var.schedule.cron))
    error_message = "a schedule has five fields of cron, such as 20 * * * *"
  }
}
