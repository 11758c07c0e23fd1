variable "project" {
  description = "Project of the cluster."
  type        = string
}

variable "region" {
  description = "Region of the cluster."
  type        = string
}

variable "zone" {
  description = "Zone of the machine."
  type        = string
}

variable "subnetwork" {
  description = "Subnet of the machine."
  type        = string
}

variable "account" {
  description = "Email of the account of the cluster."
  type        = string
}

variable "bundle" {
  description = "Bucket and object of the job's bundle, with its connectors."
  type        = object({ bucket = string, object = string })
}

variable "machine" {
  description = "Machine type of the one machine."
  type        = string
  validation {
    condition     = !can(regex("^(e2-(micro|small|medium)|f1-micro|g1-small)$", var.machine))
    error_message = "Dataproc takes no machine with a shared core, got ${var.machine}"
  }
}

variable "disk" {
  description = "Type and GiB of the machine's disk, which holds Flink's state between checkpoints."
  type        = object({ type = optional(string, "pd-balanced"), gib = optional(number, 50) })
  default     = {}
  validation {
    condition     = var.disk.gib >= 40
    error_message = "images of Dataproc need up to 35 GiB, so 40 at least, got ${var.disk.gib}"
  }
}

variable "taskmanager_mib" {
  description = "Memory of Flink's TaskManager; what else needs memory stands in main.tf."
  type        = number
  validation {
    condition     = var.taskmanager_mib >= 1536
    error_message = "the job needs a TaskManager of 1536 MiB at least: three days of one symbol's ids are in its state"
  }
}

variable "parallelism" {
  description = "Parallel tasks of each step of the job; more than the topic's partitions are idle."
  type        = number
  default     = 2
  validation {
    condition     = var.parallelism >= 1 && var.parallelism <= 4
    error_message = "the topic trades has 4 partitions, so 1 to 4"
  }
}

variable "image_version" {
  description = "Image of the cluster; 3.0 brings Flink 2.2."
  type        = string
  default     = "3.0-debian12"
  validation {
    condition     = startswith(var.image_version, "3.")
    error_message = "the job needs Flink 2.2, which images from 3.0 on bring (2.3 has Flink 1.17), got ${var.image_version}"
  }
}

variable "environ" {
  description = "Environment variables of the job: the addresses and the users of broker and Postgres."
  type        = map(string)
}

variable "secrets" {
  description = "Secrets of the passwords and of the certificates of both authorities."
  type = object({
    kafka_password    = object({ secret = string, version = string })
    kafka_ca          = object({ secret = string, version = string })
    postgres_password = object({ secret = string, version = string })
    postgres_ca       = object({ secret = string, version = string })
  })
}

variable "labels" {
  description = "Labels of cluster and bucket."
  type        = map(string)
}
