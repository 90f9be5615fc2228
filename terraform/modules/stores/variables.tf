variable "environment" {
  description = "Name of the environment."
  type        = string
}

variable "media_bucket" {
  description = "Bucket of the active generation of the media."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts secrets."
  type        = string
}
