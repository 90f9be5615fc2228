output "security_group_id" {
  description = "Security group of the tasks."
  value       = aws_security_group.task.id
}

output "cluster" {
  description = "The cluster in the manifest."
  value       = { name = aws_ecs_cluster.this.name, arn = aws_ecs_cluster.this.arn }
}

output "service" {
  description = "The service in the manifest."
  value = {
    name                   = aws_ecs_service.this.name
    cluster                = aws_ecs_cluster.this.name
    container              = local.container
    task_definition_family = aws_ecs_task_definition.this.family
  }
}

output "scalable_target" {
  description = "The scalable target in the manifest."
  value = {
    service_namespace  = aws_appautoscaling_target.this.service_namespace
    resource_id        = aws_appautoscaling_target.this.resource_id
    scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  }
}

output "url" {
  description = "Where the API answers."
  value       = local.url
}

output "health_check_url" {
  description = "Answers 200 when the API is well."
  value       = "${local.url}${local.health_check_path}"
}
