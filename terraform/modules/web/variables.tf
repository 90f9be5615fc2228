variable "name" {
  description = "Prefix of the names: know-me-<environment>."
  type        = string
}

variable "domain_name" {
  description = "Name under which the web app is reached; null for CloudFront's own."
  type        = string
}

variable "certificate_arn" {
  description = "ARN of the certificate for that name, in us-east-1; null without a name."
  type        = string
}

variable "web_acl_arn" {
  description = "ARN of the web ACL that stands before the distribution, of scope CLOUDFRONT; null for none."
  type        = string
}

variable "content_security_policy" {
  description = "Value of the header Content-Security-Policy: what the pages may load and whom they may call."
  type        = string
}

variable "price_class" {
  description = "From which parts of the world CloudFront answers."
  type        = string
}

variable "access_logs_bucket" {
  description = "Bucket for access logs, with access lists enabled, as CloudFront wants it; null for none."
  type        = string
}

variable "noncurrent_version_days" {
  description = "Days to keep files of releases before."
  type        = number
}

variable "deletion_protection" {
  description = "Refuse to delete the bucket while anything is in it."
  type        = bool
}
