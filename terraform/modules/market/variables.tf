variable "project" {
  description = "Project of the dataset."
  type        = string
}

variable "location" {
  description = "Location of the dataset, that of the buckets from which it is loaded."
  type        = string
}

variable "readers" {
  description = "Members that read the tables."
  type        = map(string)
  default     = {}
}

variable "writers" {
  description = "Members that read and write the tables, and make and delete staging tables beside them."
  type        = map(string)
  default     = {}
}

variable "query_mib_a_day" {
  description = "Most MiB that all queries of the project may scan in a day; null for Google's default."
  type        = number
  default     = null
  validation {
    condition     = var.query_mib_a_day == null ? true : var.query_mib_a_day >= 20480
    error_message = "a single query of the pipeline may scan 10 GiB, so a day needs 20480 MiB at least"
  }
}

variable "quota_contact" {
  description = "Email that a change of a quota names; needed with query_mib_a_day."
  type        = string
  default     = null
}

variable "protected" {
  description = "Whether tables with data survive a destroy."
  type        = bool
}

variable "labels" {
  description = "Labels of dataset, tables and views."
  type        = map(string)
}
