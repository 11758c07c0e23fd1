variable "project" {
  description = "Project of the worker pool."
  type        = string
}

variable "region" {
  description = "Region of the worker pool."
  type        = string
}

variable "image" {
  description = "Image by digest."
  type        = string
}

variable "account" {
  description = "Email of the account of the worker pool."
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
  description = "Labels of the worker pool."
  type        = map(string)
}

variable "network" {
  description = "Network and subnet that the broker is reached through."
  type        = object({ network = string, subnetwork = string })
}

variable "symbols" {
  description = "Number of symbols that are received."
  type        = number
}

variable "size" {
  description = "vCPUs and memory of the instance."
  type        = object({ cpu = string, memory_mib = number })
  validation {
    condition     = var.size.memory_mib >= 384 + var.symbols
    error_message = "the producer needs 384 MiB and one for each symbol, so ${384 + var.symbols} for ${var.symbols}, got ${var.size.memory_mib}"
  }
}
