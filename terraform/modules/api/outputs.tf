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

output "task_definition_parameter_arn" {
  description = "Parameter with the revision from which a release starts."
  value       = aws_ssm_parameter.task_definition.arn
}

output "roles" {
  description = "ARNs of the roles that a task of the API is started with: {task, execution}."
  value       = { task = aws_iam_role.task.arn, execution = aws_iam_role.execution.arn }
}

output "target_groups" {
  description = "Target groups between which a release switches, in the order of the first release: [{name, arn_suffix}]."
  value       = [for colour in ["blue", "green"] : { name = aws_lb_target_group.this[colour].name, arn_suffix = aws_lb_target_group.this[colour].arn_suffix }]
}

output "listeners" {
  description = "ARNs of the listeners that a release switches: {production, test}."
  value       = { production = aws_lb_listener.production.arn, test = aws_lb_listener.test.arn }
}

output "load_balancer" {
  description = "The load balancer: {arn, arn_suffix, dns_name, zone_id}."
  value       = { arn = aws_lb.this.arn, arn_suffix = aws_lb.this.arn_suffix, dns_name = aws_lb.this.dns_name, zone_id = aws_lb.this.zone_id }
}

output "url" {
  description = "Where the API answers."
  value       = local.url
}

output "health_check_url" {
  description = "Answers 200 when the API is well."
  value       = "${local.url}${local.health_check_path}"
}
