variable "name" {
  description = "Prefix of the names: know-me-<environment>."
  type        = string
}

variable "environment" {
  description = "Name of the environment."
  type        = string
}

variable "source_location" {
  description = "Source bundle in S3: <bucket>/<key>."
  type        = string
}

variable "artifacts_bucket" {
  description = "Bucket of the run folders."
  type        = string
}

variable "vpc_id" {
  description = "VPC in which the jobs run."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets with a way to the internet."
  type        = list(string)
}

variable "databases" {
  description = "Master secrets of the databases by generation."
  type        = map(object({ master_secret_arn = string }))
}

variable "application_secret_arn" {
  description = "Secret of the app's role, a version per generation."
  type        = string
}

variable "image" {
  description = "Build image."
  type        = string
}

variable "compute_type" {
  description = "Compute type of a build."
  type        = string
}

variable "certificate_bundle_url" {
  description = "Certificate bundle by which the jobs verify a database's certificate."
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
