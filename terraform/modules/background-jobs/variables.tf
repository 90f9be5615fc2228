variable "name" {
  description = "Prefix of the names: know-me-<environment>."
  type        = string
}

variable "schedule" {
  description = "When they start: an EventBridge schedule expression."
  type        = string
}

variable "state_machine_arn" {
  description = "ARN of the runbook background-jobs."
  type        = string
}
