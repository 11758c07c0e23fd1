variable "project" {
  description = "Project of the environment."
  type        = string
}

variable "region" {
  description = "Region of the environment."
  type        = string
}

variable "account" {
  description = "Email of the account that tasks run as."
  type        = string
}

variable "image_version" {
  description = "Version of Composer and Airflow."
  type        = string
  validation {
    condition     = can(regex("^composer-3-airflow-3([.][0-9]+){1,2}(-build[.][0-9]+)?$", var.image_version))
    error_message = "Composer 3 with Airflow 3, such as composer-3-airflow-3.1.0-build.1: the DAGs use airflow.sdk, which Airflow 2 lacks, got ${var.image_version}"
  }
}

variable "environ" {
  description = "Environment variables, which the DAGs read their settings from."
  type        = map(string)
  validation {
    condition     = alltrue([for name in keys(var.environ) : can(regex("^[A-Z_][A-Z0-9_]*$", name)) && !startswith(name, "AIRFLOW__")])
    error_message = "names of variables are of [A-Z0-9_]; settings of Airflow itself go by overrides"
  }
  validation {
    condition = length(setintersection(keys(var.environ), [
      "AIRFLOW_HOME", "C_FORCE_ROOT", "COMPOSER_ENVIRONMENT", "COMPOSER_LOCATION", "COMPOSER_VERSION", "CONTAINER_NAME", "DAGS_FOLDER",
      "GCP_PROJECT", "GCS_BUCKET", "GKE_CLUSTER_NAME", "GOOGLE_APPLICATION_CREDENTIALS", "PATH", "PORT", "PROJECT_ID", "SQL_DATABASE",
    ])) == 0
    error_message = "Composer keeps some names for itself, such as GCP_PROJECT and GCS_BUCKET"
  }
}

variable "workers" {
  description = "Most workers."
  type        = number
  default     = 3
}

variable "labels" {
  description = "Labels of environment and bucket."
  type        = map(string)
}
