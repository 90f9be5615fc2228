output "deployment" {
  description = "The deployment group in the manifest."
  value       = { application = aws_codedeploy_app.this.name, deployment_group = aws_codedeploy_deployment_group.this.deployment_group_name }
}
