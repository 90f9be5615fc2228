output "api_url" {
  description = "Where the API answers."
  value       = module.api.url
}

output "media_bucket" {
  description = "Bucket of the files that the API uses."
  value       = module.media[var.generations.media.active].bucket
}
