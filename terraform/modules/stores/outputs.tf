output "application_secret_arn" {
  description = "Secret by which the app reaches its database, whichever generation is active."
  value       = aws_secretsmanager_secret.application.arn
}

output "media_bucket_parameter_arn" {
  description = "Parameter that names the bucket of the app's files."
  value       = aws_ssm_parameter.media_bucket.arn
}
