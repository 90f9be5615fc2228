variable "name" {
  description = "Prefix of the names."
  type        = string
}

variable "vpc_cidr" {
  description = "IPv4 range of the VPC; every subnet takes a sixteenth of it."
  type        = string
}

variable "zone_count" {
  description = "Number of availability zones, at most 4."
  type        = number
}

variable "nat_gateways" {
  description = "\"single\" or \"per-zone\"."
  type        = string
}

variable "flow_logs" {
  description = "Record rejected connections."
  type        = bool
}

variable "log_retention_days" {
  description = "Days to keep flow logs."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that encrypts flow logs."
  type        = string
}
