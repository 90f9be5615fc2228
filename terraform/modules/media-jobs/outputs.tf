output "project_name" {
  description = "Name of the build project."
  value       = aws_codebuild_project.this.name
}

output "jobs_role_arn" {
  description = "Role of the jobs."
  value       = aws_iam_role.jobs.arn
}

output "copy_role_arn" {
  description = "Role that S3 Batch Operations acts with."
  value       = aws_iam_role.copy.arn
}
