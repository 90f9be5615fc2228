variable "name" {
  description = "Prefix of the names: know-me-<environment>. Also the name of the dashboard."
  type        = string
}

variable "notification_topic_arn" {
  description = "Topic that hears when an alarm is raised and when it is over."
  type        = string
}

variable "balancer" {
  description = "Load balancer of the API: the part of its ARN that its metrics have."
  type        = string
}

variable "target_groups" {
  description = "Target groups behind it, by name, in the same form: one of them has the traffic, the other is the next release or empty."
  type        = map(string)
}

variable "service" {
  description = "ECS service of the API."
  type        = object({ cluster = string, name = string })
}

variable "databases" {
  description = "Database instances by generation, with their storage in GiB."
  type        = map(object({ instance_id = string, allocated_storage = number }))
}

variable "runbooks" {
  description = "ARNs of the state machines whose failures a person should hear of, by their name after the prefix."
  type        = map(string)
}

variable "dead_letter_queues" {
  description = "Names of the queues of what nobody could process, by what they are called on the alarm."
  type        = map(string)
}

variable "distribution_id" {
  description = "CloudFront distribution of the web app, for the dashboard."
  type        = string
}

variable "firewall" {
  description = "Name of the API's web ACL, for the dashboard; null without one."
  type        = string
}

variable "thresholds" {
  description = "When an alarm is raised. See alarm_thresholds of the root."
  type = object({
    balancer_errors_percent       = number
    target_errors_percent         = number
    latency_seconds               = number
    database_cpu_percent          = number
    database_free_storage_percent = number
    database_connections          = number
  })
}
