variable "project" {
  description = "Project of the service."
  type        = string
}

variable "region" {
  description = "Region of the service."
  type        = string
}

variable "image" {
  description = "Image by digest."
  type        = string
}

variable "account" {
  description = "Email of the account of the service."
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
  description = "Labels of the service."
  type        = map(string)
}

variable "network" {
  description = "Network and subnet that broker and Postgres are reached through."
  type        = object({ network = string, subnetwork = string })
}

variable "size" {
  description = "vCPUs and memory of an instance, and most instances."
  type        = object({ cpu = string, memory_mib = number, instances = number })
  validation {
    condition     = var.size.memory_mib >= 1024
    error_message = "the dashboard uses 200 to 500 MiB and DuckDB more for a moment: 1024 MiB at least"
  }
}

variable "iap" {
  description = "Whether Google's sign-in is in front (IAP, for projects of an organization); else viewers come with a token, by `gcloud run services proxy`."
  type        = bool
}

variable "viewers" {
  description = "Members that may see the page."
  type        = set(string)
  validation {
    condition     = alltrue([for member in var.viewers : can(regex("^(user|group|domain|serviceAccount):.+", member))])
    error_message = "a viewer is user:, group:, domain: or serviceAccount:, never allUsers: the page queries BigQuery at your cost"
  }
}

variable "project_number" {
  description = "Number of the project, by which Google's proxy (IAP) is named."
  type        = string
}
