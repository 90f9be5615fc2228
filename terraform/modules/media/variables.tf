variable "environment" {
  description = "Name of the environment."
  type        = string
}

variable "generation" {
  description = "Name of the generation."
  type        = string
}

variable "active" {
  description = "Whether the app uses this generation. Only migrations write into the others."
  type        = bool
}

variable "migration_principals" {
  description = "ARNs, with wildcards, of the roles that may write into a generation that is not active."
  type        = list(string)
}

variable "encryption" {
  description = "AES256 or aws:kms. See media_encryption of the root."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of the environment, for aws:kms."
  type        = string
}

variable "public_static" {
  description = "Whether everybody may read static/."
  type        = bool
}

variable "cors_origins" {
  description = "Origins whose pages may read the bucket; none for no rule."
  type        = list(string)
}

variable "noncurrent_version_days" {
  description = "Days to keep versions that were overwritten or deleted."
  type        = number
}

variable "deletion_protection" {
  description = "Refuse to delete the bucket while anything is in it."
  type        = bool
}
