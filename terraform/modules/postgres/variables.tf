variable "project" {
  description = "Project of the instance."
  type        = string
}

variable "region" {
  description = "Region of the instance."
  type        = string
}

variable "network" {
  description = "Network that the instance has its address in, with Google's services in it."
  type        = string
}

variable "tier" {
  description = "Machine of the instance."
  type        = string
  validation {
    condition     = can(regex("^db-(f1-micro|g1-small|custom-[0-9]+-[0-9]+)$", var.tier))
    error_message = "a machine of the edition ENTERPRISE: db-f1-micro, db-g1-small or db-custom-CPUS-MIB, got ${var.tier}"
  }
}

variable "disk_gib" {
  description = "First size of the disk, which grows up to four times."
  type        = number
  default     = 10
  validation {
    condition     = var.disk_gib >= 10
    error_message = "Cloud SQL's smallest disk is 10 GiB"
  }
}

variable "owner" {
  description = "Login of the set-up job, which owns the tables."
  type        = string
}

variable "owner_password" {
  description = "Its password."
  type        = string
  ephemeral   = true
  sensitive   = true
}

variable "owner_password_revision" {
  description = "Number that changes with the password."
  type        = number
}

variable "clients" {
  description = "Members whose programs connect, and verify the server's certificate."
  type        = map(string)
}

variable "protected" {
  description = "Whether the instance survives a destroy."
  type        = bool
}

variable "labels" {
  description = "Labels of the instance."
  type        = map(string)
}

variable "zone_name" {
  description = "Name of the private DNS zone."
  type        = string
}

variable "domain" {
  description = "Domain of the private DNS zone."
  type        = string
  default     = "pipeline.internal."
}
