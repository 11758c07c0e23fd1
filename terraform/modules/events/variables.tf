variable "project" {
  description = "Project of the topics."
  type        = string
}

variable "project_number" {
  description = "Number of the project, by which Pub/Sub's own account is named."
  type        = string
}

variable "publishers" {
  description = "Members that publish events."
  type        = map(string)
  default     = {}
}

variable "push" {
  description = "Functions that events are pushed to: address, account that calls it, types of events, and the time for one call."
  type = map(object({
    endpoint             = string
    caller               = string
    types                = list(string)
    ack_deadline_seconds = number
  }))
  default = {}
  validation {
    condition     = alltrue([for each in values(var.push) : each.ack_deadline_seconds >= 10 && each.ack_deadline_seconds <= 600])
    error_message = "ack_deadline_seconds lies between 10 and 600; a function that works longer has to be called by a scheduler"
  }
  validation {
    condition     = alltrue(flatten([for each in values(var.push) : [for type in each.types : can(regex("^[a-z_]+[.][a-z_]+$", type))]]))
    error_message = "a type of event is written noun.verb, such as batch.finished"
  }
  validation {
    condition     = alltrue([for each in values(var.push) : length(each.types) > 0 && startswith(each.endpoint, "https://")])
    error_message = "a push names at least one type, and an endpoint that begins with https://"
  }
}

variable "labels" {
  description = "Labels of topics and subscriptions."
  type        = map(string)
}
