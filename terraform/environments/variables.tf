variable "project" {
  description = "Project that holds this environment and nothing else: its buckets and dataset have fixed names."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "a project id is 6 to 30 of [a-z0-9-], begins with a letter and ends without a dash, got ${var.project}"
  }
}

variable "region" {
  description = "Region of everything. Bybit refuses addresses in the US."
  type        = string
  default     = "europe-west1"
  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region)) && !startswith(var.region, "us-")
    error_message = "a region such as europe-west1 outside the US, where Bybit answers 403, got ${var.region}"
  }
}

variable "zone" {
  description = "Letter of the zone of the virtual machines."
  type        = string
  default     = "b"
  validation {
    condition     = can(regex("^[a-f]$", var.zone))
    error_message = "the letter of a zone of the region, such as b, got ${var.zone}"
  }
}

variable "symbols" {
  description = "Symbols that are loaded daily and received live."
  type        = list(string)
  default     = ["BTCUSDT"]
  validation {
    condition     = length(var.symbols) > 0 && length(distinct(var.symbols)) == length(var.symbols)
    error_message = "at least one symbol, each once"
  }
  validation {
    condition     = alltrue([for symbol in var.symbols : can(regex("^[A-Z0-9]{2,20}$", symbol))])
    error_message = "a symbol is written as Bybit writes it, such as BTCUSDT"
  }
}

variable "artifacts" {
  description = "What `make publish` has stored: objects of the artifact bucket by the hash of their content, images by digest."
  type = object({
    bucket    = string
    builder   = string
    registry  = string
    functions = map(string)
    batch     = object({ main = string, files = list(string) })
    flink     = optional(string)
    images    = map(string)
  })
  validation {
    condition = alltrue([
      for object in concat(values(var.artifacts.functions), [var.artifacts.batch.main], var.artifacts.batch.files, var.artifacts.flink == null ? [] : [var.artifacts.flink]) :
      can(regex("[0-9a-f]{64}", object))
    ])
    error_message = "the name of an artifact's object holds the SHA-256 of its content, so that a new artifact is a new name"
  }
  validation {
    condition     = alltrue([for image in values(var.artifacts.images) : can(regex("^[^@ ]+@sha256:[0-9a-f]{64}$", image))])
    error_message = "an image is given by its digest, HOST/PATH@sha256:..., as a tag can move"
  }
  validation {
    condition     = length(setsubtract(["fetch_archive", "publish_live", "archive_live"], keys(var.artifacts.functions))) == 0
    error_message = "functions needs fetch_archive, publish_live and archive_live"
  }
}

variable "protected" {
  description = "Whether what holds the only copy of something survives a destroy."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels of everything that has labels, for the bill."
  type        = map(string)
  default     = { app = "bitcoin-pipeline" }
}

variable "live" {
  description = "Sizes of the live plane; null for history only."
  type = object({
    producer  = object({ cpu = string, memory_mib = number, connections = optional(number, 1) })
    broker    = object({ machine = string, memory_mib = number, disk_gib = number })
    postgres  = object({ tier = string, disk_gib = optional(number, 10) })
    flink     = object({ machine = string, taskmanager_mib = number, parallelism = optional(number, 2), disk = optional(object({ type = optional(string), gib = optional(number) }), {}) })
    dashboard = object({ cpu = optional(string, "1"), memory_mib = optional(number, 1024), instances = optional(number, 2), iap = optional(bool, false) })
  })
  default = null
  validation {
    condition     = var.live == null ? true : var.artifacts.flink != null && length(setsubtract(["producer", "dashboard", "store_setup", "redpanda"], keys(var.artifacts.images))) == 0
    error_message = "a live plane needs artifacts.flink and the images producer, dashboard, store_setup and redpanda"
  }
}

variable "secret_revision" {
  description = "Number that is raised to replace every password; with a raised revision of bootstrap also the broker's certificate."
  type        = number
  default     = 1
}

variable "composer" {
  description = "Cloud Composer with the DAGs, in place of the daily job; null for none. It costs some $300 a month at least."
  type        = object({ image_version = string })
  default     = null
}

variable "dashboard_viewers" {
  description = "Members that may see the dashboard, such as user:ada@example.com."
  type        = set(string)
  default     = []
}

variable "operators" {
  description = "Persons who run the pipeline command, such as user:ada@example.com."
  type        = set(string)
  default     = []
}

variable "alerts" {
  description = "Address that alerts go to; null for no alerts."
  type        = object({ email = string })
  default     = null
}

variable "budget" {
  description = "Monthly budget, in the currency of the billing account; null for none."
  type        = object({ billing_account = string, currency = string, amount = number })
  default     = null
}

variable "query_mib_a_day" {
  description = "Most MiB that all queries may scan in a day; null for Google's default, which has no limit."
  type        = number
  default     = 1048576
}

variable "has_quota_preference" {
  description = "Whether the project already has the preference that query_mib_a_day sets, from an earlier deployment; `make deploy` passes it."
  type        = bool
  default     = false
}

variable "flow_logs" {
  description = "Whether a tenth of the network's flows is logged."
  type        = bool
  default     = false
}

variable "has_test_values" {
  description = "Whether test_values are taken in place of the random values that bootstrap has stored; for tests, whose provider reads no secret."
  type        = bool
  default     = false
}

variable "test_values" {
  description = "Random values of a test."
  type        = object({ seed = string, broker_tls = string })
  ephemeral   = true
  sensitive   = true
  default     = null
}
