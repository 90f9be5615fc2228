variable "environment" {
  description = "Name of the environment."
  type        = string
}

variable "generation" {
  description = "Name of this generation of the database."
  type        = string
}

variable "engine_version" {
  description = "PostgreSQL version, a major or an exact one."
  type        = string
}

variable "instance_class" {
  description = "Instance class."
  type        = string
}

variable "allocated_storage" {
  description = "Storage in GiB."
  type        = number
}

variable "database_name" {
  description = "Name of the app's database."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the database."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of at least two zones."
  type        = list(string)
}

variable "client_security_group_ids" {
  description = "Security groups that may connect, by who they are."
  type        = map(string)
}

variable "application_secret_arn" {
  description = "Secret of the app's role; this generation is the version with its name as staging label."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts storage, secrets, logs and performance data."
  type        = string
}

variable "ca_certificate" {
  description = "Certificate authority of the TLS certificate; null for the account's default."
  type        = string
}

variable "multi_az" {
  description = "Keep a standby in another zone."
  type        = bool
}

variable "backup_retention_days" {
  description = "Days of automated backups."
  type        = number
}

variable "deletion_protection" {
  description = "Refuse to delete the instance."
  type        = bool
}

variable "skip_final_snapshot" {
  description = "Delete without a last snapshot."
  type        = bool
}

variable "apply_immediately" {
  description = "Make changes when they are applied."
  type        = bool
}

variable "log_retention_days" {
  description = "Days to keep the logs."
  type        = number
}
