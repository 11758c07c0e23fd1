variable "live" {
  description = "Sizes of the live plane; null for history only."
  type        = object({})
  default     = null
}
