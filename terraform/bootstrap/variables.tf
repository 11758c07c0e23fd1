variable "project" {
  description = "Project that is prepared."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "a project id is 6 to 30 of [a-z0-9-], begins with a letter and ends without a dash, got ${var.project}"
  }
}

variable "region" {
  description = "Region of the buckets and of the registry, that of the environment."
  type        = string
  default     = "europe-west1"
  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region)) && !startswith(var.region, "us-")
    error_message = "a region such as europe-west1 outside the US, where Bybit answers 403, got ${var.region}"
  }
}

variable "labels" {
  description = "Labels of everything that has labels."
  type        = map(string)
  default     = { app = "bitcoin-pipeline" }
}

variable "generated" {
  description = "Random values, which are stored by the first apply and by each raised revision: a text that passwords follow from, and the broker's key, certificate and authority as PEM. Later applies may bring others, without effect."
  type        = object({ seed = string, broker_tls = string })
  ephemeral   = true
  sensitive   = true
  validation {
    condition     = length(var.generated.seed) >= 32
    error_message = "the seed has 32 characters at least: python -m local.generated_secrets prints all values"
  }
  validation {
    condition     = length(regexall("-----BEGIN [A-Z ]+-----", var.generated.broker_tls)) == 3
    error_message = "broker_tls is a private key, its certificate and that of the authority: python -m local.generated_secrets prints all values"
  }
}

variable "revision" {
  description = "Number that is raised to store other random values."
  type        = number
  default     = 1
}
