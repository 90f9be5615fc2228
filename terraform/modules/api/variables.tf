variable "name" {
  description = "Prefix of the names: know-me-<environment>."
  type        = string
}

variable "environment" {
  description = "Name of the environment."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the API."
  type        = string
}

variable "public_subnet_ids" {
  description = "Subnets of the load balancer."
  type        = list(string)
}

variable "application_subnet_ids" {
  description = "Subnets of the tasks."
  type        = list(string)
}

variable "image" {
  description = "Image of the API."
  type        = string
}

variable "image_repository_arns" {
  description = "ARNs of the ECR repositories from which images of the API come; none for a public registry."
  type        = list(string)
}

variable "container_port" {
  description = "Port on which the container listens."
  type        = number
}

variable "cpu" {
  description = "CPU units of a task."
  type        = number
}

variable "memory" {
  description = "Memory of a task in MiB."
  type        = number
}

variable "minimum_tasks" {
  description = "Fewest tasks, and the number at the start."
  type        = number
}

variable "maximum_tasks" {
  description = "Most tasks."
  type        = number
}

variable "environment_variables" {
  description = "Further environment variables of the container."
  type        = map(string)
}

variable "requests_per_task" {
  description = "Requests per task and minute that autoscaling aims at."
  type        = number
}

variable "application_secret_arn" {
  description = "Secret by which the app reaches its database; AWSCURRENT is the active generation's version."
  type        = string
}

variable "media_bucket_parameter_arn" {
  description = "Parameter that names the bucket of the active generation of the media."
  type        = string
}

variable "media_bucket_arns" {
  description = "ARNs of the media buckets by generation. Tasks may use each of them: a migration changes no permission."
  type        = map(string)
}

variable "media_kms_key_arn" {
  description = "Key that encrypts the media; null when S3's own does."
  type        = string
}

variable "database_certificate_bundle_url" {
  description = "Certificate bundle by which the API verifies the database's certificate."
  type        = string
}

variable "listener_port" {
  description = "Port of the HTTP listener."
  type        = number
}

variable "test_listener_port" {
  description = "Port of the listener on which a release answers before it gets the production traffic; null for 8443 with a certificate and 8080 without."
  type        = number
}

variable "certificate_arn" {
  description = "ARN of the certificate for HTTPS; null for HTTP only."
  type        = string
}

variable "domain_name" {
  description = "Name under which the API is reached; null for the load balancer's own."
  type        = string
}

variable "allowed_cidr_blocks" {
  description = "IPv4 ranges that may reach the load balancer."
  type        = list(string)
}

variable "test_allowed_cidr_blocks" {
  description = "IPv4 ranges that may reach the listener of test traffic."
  type        = list(string)
}

variable "access_logs_bucket" {
  description = "Bucket for access logs; null for none."
  type        = string
}

variable "deletion_protection" {
  description = "Refuse to delete the load balancer."
  type        = bool
}

variable "django_key_secret_arn" {
  description = "Secret with Django's SECRET_KEY."
  type        = string
}

variable "log_retention_days" {
  description = "Days to keep the logs."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that encrypts secrets and logs."
  type        = string
}

variable "https" {
  description = "Whether there is a certificate. Its ARN may be unknown before an apply, this is not."
  type        = bool
}
