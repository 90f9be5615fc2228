output "pipeline" {
  description = "The pipeline in the manifest: its name, and every stage but the source."
  value       = { name = aws_codepipeline.this.name, stages = [for stage in slice(aws_codepipeline.this.stage, 1, length(aws_codepipeline.this.stage)) : stage.name] }
}

output "repository_arn" {
  description = "Repository of the API's image."
  value       = aws_ecr_repository.api.arn
}

output "repository_url" {
  description = "Where the API's image is pushed to."
  value       = aws_ecr_repository.api.repository_url
}

output "connection_arn" {
  description = "Connection to where the repositories are."
  value       = local.connection_arn
}
