output "api_name" {
  description = "Name of the API; null without a domain."
  value       = lookup(local.names, "api", null)
}

output "web_name" {
  description = "Name of the web app; null without a domain."
  value       = lookup(local.names, "web", null)
}

output "api_certificate_arn" {
  description = "Certificate of the API's name, once it is valid; null without a domain."
  value       = one(values(aws_acm_certificate_validation.api)[*].certificate_arn)
}

output "web_certificate_arn" {
  description = "Certificate of the web app's name, in us-east-1, once it is valid; null without a domain."
  value       = one(values(aws_acm_certificate_validation.web)[*].certificate_arn)
}
