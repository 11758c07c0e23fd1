variable "project" {
  description = "Project of the function."
  type        = string
}

variable "region" {
  description = "Region of the function."
  type        = string
}

variable "function" {
  description = "Name of the function in its source, such as fetch_archive; in Google Cloud it has dashes."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,61}[a-z0-9]$", var.function))
    error_message = "the name of a function in Python, in lower case, got ${var.function}"
  }
}

variable "description" {
  description = "What the function does, in a sentence."
  type        = string
}

variable "source_code" {
  description = "Object of the artifact bucket that holds the source, the account that builds it, and the repository of built images."
  type = object({
    bucket     = string
    object     = string
    builder    = string
    repository = string
  })
}

variable "account" {
  description = "Email of the function's account."
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

variable "network" {
  description = "Network and subnet that private addresses are reached through; null for none."
  type        = object({ network = string, subnetwork = string })
  default     = null
}

variable "cpu" {
  description = "vCPUs of an instance."
  type        = string
  validation {
    condition     = contains(["0.25", "0.5", "1", "2", "4"], var.cpu)
    error_message = "0.25, 0.5, 1, 2 or 4 vCPUs, got ${var.cpu}"
  }
}

variable "instances" {
  description = "Most instances."
  type        = number
}

variable "invokers" {
  description = "Members that may call the function."
  type        = map(string)
  validation {
    condition     = alltrue([for member in values(var.invokers) : !contains(["allUsers", "allAuthenticatedUsers"], member)])
    error_message = "a public function could be called by anybody at your cost"
  }
}

variable "schedule" {
  description = "Calls by Cloud Scheduler: times in the form of cron (UTC), and the email of the account that calls; null for none."
  type        = object({ cron = string, caller = string })
  default     = null
  validation {
    condition     = var.schedule == null ? true : can(regex("^([0-9*/,-]+ ){4}[0-9*/,-]+$", var.schedule.cron))
    error_message = "a schedule has five fields of cron, such as */2 * * * *"
  }
}

variable "labels" {
  description = "Labels of the function."
  type        = map(string)
}
