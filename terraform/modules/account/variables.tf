variable "project" {
  description = "Project of the account."
  type        = string
}

variable "name" {
  description = "Account id, the part of the email before the @."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.name))
    error_message = "an account id is 6 to 30 of [a-z0-9-], begins with a letter and ends without a dash, got ${var.name}"
  }
}

variable "description" {
  description = "What the account is for."
  type        = string
}

variable "project_roles" {
  description = "Roles on the whole project, for what no single resource can grant."
  type        = set(string)
  default     = []
  validation {
    condition     = alltrue([for role in var.project_roles : !contains(["roles/owner", "roles/editor", "roles/viewer"], role)])
    error_message = "basic roles (owner, editor, viewer) reach everything in a project; name the roles that are needed"
  }
}
