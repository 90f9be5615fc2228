output "api_url" {
  description = "Where the API answers."
  value       = module.api.url
}

output "media_bucket" {
  description = "Bucket of the files that the API uses."
  value       = module.media[var.generations.media.active].bucket
}

output "web_url" {
  description = "Where the web app answers."
  value       = module.web.url
}

output "web_bucket" {
  description = "Bucket of the web app's files."
  value       = module.web.bucket
}

output "web_distribution_id" {
  description = "CloudFront distribution of the web app."
  value       = module.web.distribution_id
}

output "api_repository_url" {
  description = "Where the API's image is pushed to; null without a delivery."
  value       = one(module.delivery[*].repository_url)
}

output "connection_arn" {
  description = "Connection to the repositories, which somebody confirms once when Terraform made it; null without a delivery."
  value       = one(module.delivery[*].connection_arn)
}
