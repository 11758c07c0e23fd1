terraform {
  required_version = ">= 1.11, < 2"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.30, < 9"
    }
  }

  # The bucket and the prefix come by -backend-config; `make deploy` passes those that bootstrap has made.
  backend "gcs" {}
}

provider "google" {
  project               = var.project
  region                = var.region
  user_project_override = true
  billing_project       = var.project
}

# Reads the random values that bootstrap has stored. It has a name of its own because Terraform's tests cannot replace a
# provider that reads secrets.
provider "google" {
  alias                 = "secrets"
  project               = var.project
  region                = var.region
  user_project_override = true
  billing_project       = var.project
}
