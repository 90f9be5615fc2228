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

variable "media" {
  description = "The media buckets by generation, with their queues of changes, and which of them the app uses."
  type        = map(object({ bucket_arn = string, changes_queue_arn = string, active = bool }))
}

variable "media_kms_key_arn" {
  description = "Key that encrypts the media; null when S3's own does."
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

variable "log_retention_days" {
  description = "Days to keep the logs."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that encrypts the logs."
  type        = string
}
