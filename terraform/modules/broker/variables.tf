variable "project" {
  description = "Project of the broker."
  type        = string
}

variable "region" {
  description = "Region of the address and of the snapshots."
  type        = string
}

variable "zone" {
  description = "Zone of the machine and of its disk."
  type        = string
}

variable "network" {
  description = "Full name of the network."
  type        = string
}

variable "subnetwork" {
  description = "Full name of the subnet."
  type        = string
}

variable "client_range" {
  description = "Addresses that clients connect from."
  type        = string
  validation {
    condition     = can(cidrnetmask(var.client_range)) && can(regex("^(10|172|192)[.]", var.client_range))
    error_message = "clients come from private addresses only, such as 10.10.0.0/20, got ${var.client_range}"
  }
}

variable "zone_name" {
  description = "Name of the private DNS zone."
  type        = string
}

variable "domain" {
  description = "Domain of the private DNS zone, to which the broker's certificate was issued."
  type        = string
  default     = "pipeline.internal."
}

variable "image" {
  description = "Redpanda's image by digest, with its version as the tag."
  type        = string
  validation {
    condition     = can(regex("^[^@ ]+:v(25[.][3-9]|25[.][1-9][0-9]|2[6-9][.][0-9]+)[.][0-9]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "HOST/PATH:vYY.N.P@sha256:..., 25.3 or newer: earlier ones look offsets up by time wrongly, which the start of the candles job relies on"
  }
}

variable "boot_image" {
  description = "Image of the machine's system."
  type        = string
  default     = "projects/cos-cloud/global/images/family/cos-121-lts"
}

variable "machine" {
  description = "Machine type."
  type        = string
}

variable "memory_mib" {
  description = "Memory of Redpanda, below that of the machine."
  type        = number
  validation {
    condition     = var.memory_mib >= 1024
    error_message = "Redpanda needs 1 GiB for one core at least"
  }
}

variable "disk_gib" {
  description = "Size of the data disk, from which follows how much the topics keep. It may grow, never shrink."
  type        = number
  validation {
    condition     = var.disk_gib >= 10
    error_message = "seven days of one busy symbol are some 5 GiB, and the topics take what 3 GiB leave: 10 GiB at least"
  }
}

variable "account" {
  description = "Email of the broker's account."
  type        = string
}

variable "admin_password" {
  description = "Secret of the superuser's password."
  type        = object({ secret = string, version = string })
}

variable "tls" {
  description = "Secret of the broker's key, its certificate and that of its authority, in this order as PEM."
  type        = object({ secret = string, version = string })
}

variable "clients" {
  description = "SASL users: the secret of the password, and the topics and groups that each may use."
  type = map(object({
    password = object({ secret = string, version = string })
    reads    = optional(list(string), [])
    writes   = optional(list(string), [])
    groups   = optional(list(string), [])
    creates  = optional(list(string), [])
  }))
  validation {
    condition     = !contains(keys(var.clients), "admin")
    error_message = "admin is the superuser of the set-up; a client needs a user of its own"
  }
  validation {
    condition     = alltrue(flatten([for client in values(var.clients) : [for name in concat(client.reads, client.writes, client.groups, client.creates) : name != "*"]]))
    error_message = "a client names its topics and groups; * would reach all of them"
  }
}

variable "protected" {
  description = "Whether the machine survives a destroy."
  type        = bool
}

variable "labels" {
  description = "Labels of machine, disk and snapshots."
  type        = map(string)
}
