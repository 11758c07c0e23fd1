variable "project" {
  description = "Project whose values are read."
  type        = string
}
