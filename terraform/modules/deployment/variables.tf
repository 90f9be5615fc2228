variable "name" {
  description = "Prefix of the names: know-me-<environment>."
  type        = string
}

variable "cluster_name" {
  description = "Cluster of the service."
  type        = string
}

variable "service_name" {
  description = "Service that the releases are of; its deployment controller is CODE_DEPLOY."
  type        = string
}

variable "target_group_names" {
  description = "The two target groups that take turns."
  type        = list(string)

  validation {
    condition     = length(var.target_group_names) == 2
    error_message = "A blue/green deployment needs two target groups."
  }
}

variable "production_listener_arn" {
  description = "Listener of production traffic."
  type        = string
}

variable "test_listener_arn" {
  description = "Listener of test traffic: it reaches the new tasks before anybody else does."
  type        = string
}

variable "task_role_arn" {
  description = "Role of the tasks."
  type        = string
}

variable "execution_role_arn" {
  description = "Role that starts the tasks."
  type        = string
}

variable "hook_function" {
  description = "Name of the function that CodeDeploy calls before it installs anything."
  type        = string
}

variable "deployment_config_name" {
  description = "How traffic is shifted."
  type        = string
}

variable "termination_wait_minutes" {
  description = "Minutes to keep the old tasks after the traffic has been shifted."
  type        = number
}

variable "alarm_names" {
  description = "Alarms that stop a deployment and roll it back."
  type        = list(string)
}
