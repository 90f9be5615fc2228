# What the names need to know of the API.

variable "https" {
  description = "Whether there is a certificate. Its ARN may be unknown before an apply, this is not."
  type        = bool
}
