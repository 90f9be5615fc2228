variable "name" {
  description = "Name of the secret."
  type        = string
}

variable "description" {
  description = "What the secret is for and what a new value does."
  type        = string
}

variable "length" {
  description = "Number of letters and digits."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that encrypts the secret."
  type        = string
}

variable "recovery_days" {
  description = "Days in which the deleted secret can be restored; 0 for none."
  type        = number
}
