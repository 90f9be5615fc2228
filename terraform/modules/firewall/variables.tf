variable "name" {
  description = "Name of the web ACL: know-me-<environment>-<what it stands before>."
  type        = string
}

variable "scope" {
  description = "REGIONAL for load balancers; CLOUDFRONT, in us-east-1 only, for distributions."
  type        = string

  validation {
    condition     = contains(["REGIONAL", "CLOUDFRONT"], var.scope)
    error_message = "scope must be REGIONAL or CLOUDFRONT."
  }
}

variable "hosts" {
  description = "Names under which the app is asked for. Requests for any other name are blocked: those of scanners that go through addresses. None for no such rule: CloudFront answers for the names of a distribution only."
  type        = list(string)
}

variable "rate_limit" {
  description = "Most requests of one address in five minutes; null for no limit."
  type        = number
}

variable "counted_common_rules" {
  description = "Rules of AWS's common rule set that are counted and do not block."
  type        = list(string)
  default     = ["SizeRestrictions_BODY"] # it blocks every body above 8 KB, and people upload pictures
}

variable "resource_arns" {
  description = "ARNs of the load balancers behind it by a name of their own. A distribution names its web ACL itself."
  type        = map(string)
}

variable "log_retention_days" {
  description = "Days to keep the log."
  type        = number
}

variable "kms_key_arn" {
  description = "Key of the web ACL's region that encrypts the log; null for CloudWatch's own."
  type        = string
}
