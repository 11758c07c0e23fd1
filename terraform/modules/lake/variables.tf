variable "project" {
  description = "Project of the buckets; it begins their names, which are unique in all of Google Cloud."
  type        = string
}

variable "location" {
  description = "Location of both buckets: that of the batches and of the dataset that is loaded from them."
  type        = string
}

variable "readers" {
  description = "Members that read the lake."
  type        = map(string)
  default     = {}
}

variable "writers" {
  description = "Members that read, write and replace objects of the lake below prefixes such as raw/."
  type = map(object({
    member   = string
    prefixes = list(string)
  }))
  default = {}
  validation {
    condition     = alltrue(flatten([for writer in values(var.writers) : [for prefix in writer.prefixes : can(regex("^[a-z_]+/$", prefix))]]))
    error_message = "a prefix is one folder with its slash, such as raw/: without the slash it would also match raw2/"
  }
}

variable "staging_users" {
  description = "Members that read, write and delete temporary objects."
  type        = map(string)
  default     = {}
}

variable "protected" {
  description = "Whether the lake survives a destroy while it has objects."
  type        = bool
}

variable "labels" {
  description = "Labels of both buckets."
  type        = map(string)
}
