data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

locals {
  name              = "${var.name}-api"
  container         = "api"
  health_check_path = "/status/"
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:How long logs are kept is each environment's choice (log_retention_days); they name people, so not longer than they help

  name              = "/${var.name}/api"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_ecs_task_definition" "this" {
  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  skip_destroy             = true # a release that is rolled back needs the revision before

  container_definitions = jsonencode([{
    name      = local.container
    image     = var.image
    essential = true

    portMappings = [{
      containerPort = var.container_port
      hostPort      = var.container_port
      protocol      = "tcp"
    }]

    environment = [
      for name, value in merge(var.environment_variables, {
        DATABASE_SSLMODE                = "verify-full"
        DATABASE_CERTIFICATE_BUNDLE_URL = var.database_certificate_bundle_url
      }) : { name = name, value = value }
    ]

    # No value of a store is in a task definition: a migration needs no release, and a release that is rolled back
    # does not lead back to an old store. What stands behind the names is read when a task starts.
    secrets = concat(
      local.further_secrets,
      [
        for name, key in {
          DATABASE_HOST     = "host"
          DATABASE_PORT     = "port"
          DATABASE_NAME     = "dbname"
          DATABASE_USERNAME = "username"
          DATABASE_PASSWORD = "password"
        } : { name = name, valueFrom = "${var.application_secret_arn}:${key}::" }
      ],
      [
        { name = "DJANGO_SECRET_KEY", valueFrom = var.django_key_secret_arn },
        { name = "MEDIA_BUCKET", valueFrom = var.media_bucket_parameter_arn },
      ],
    )

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = data.aws_region.current.name
        awslogs-stream-prefix = local.container
      }
    }
  }])
}

# What a release starts from: it takes this revision and changes the image only.
resource "aws_ssm_parameter" "task_definition" {
  #checkov:skip=CKV2_AWS_34:The value is a name or an ARN and no secret; plans and people may read it

  name           = "/know-me/${var.environment}/api/task-definition"
  description    = "Revision of the API's task definition that Terraform describes"
  type           = "String"
  insecure_value = aws_ecs_task_definition.this.arn
}

resource "aws_ecs_service" "this" {
  name            = local.name
  cluster         = aws_ecs_cluster.this.arn
  task_definition = aws_ecs_task_definition.this.arn
  launch_type     = "FARGATE"
  desired_count   = var.minimum_tasks
  propagate_tags  = "SERVICE"

  # The first tasks of an environment wait for a run to make the database role; an apply does not wait for them.
  wait_for_steady_state             = false
  health_check_grace_period_seconds = 60

  # Releases are CodeDeploy's, which also takes them back: a circuit breaker is not allowed beside it.
  deployment_controller {
    type = "CODE_DEPLOY"
  }

  network_configuration {
    subnets          = var.application_subnet_ids
    security_groups  = [aws_security_group.task.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this["blue"].arn
    container_name   = local.container
    container_port   = var.container_port
  }

  lifecycle {
    # Autoscaling moves the count, and a migration sets it to 0 and back. A release changes the other two.
    ignore_changes = [desired_count, task_definition, load_balancer]
  }

  depends_on = [
    aws_iam_role_policy.execution,
    aws_iam_role_policy.media,
    aws_lb_listener.production,
  ]
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.this.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.minimum_tasks
  max_capacity       = var.maximum_tasks

  lifecycle {
    # A migration suspends scaling and resumes it.
    ignore_changes = [suspended_state]
  }
}

resource "aws_appautoscaling_policy" "cpu" {
  name               = "${local.name}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_in_cooldown  = 300
    scale_out_cooldown = 60

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

# ALBRequestCountPerTarget names one target group, and a service under CodeDeploy changes between two: their requests
# together, by the tasks that run.
resource "aws_appautoscaling_policy" "requests" {
  name               = "${local.name}-requests"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = var.requests_per_task
    scale_in_cooldown  = 300
    scale_out_cooldown = 60

    customized_metric_specification {
      dynamic "metrics" {
        for_each = aws_lb_target_group.this

        content {
          id          = metrics.key
          return_data = false

          metric_stat {
            stat = "Sum"

            metric {
              namespace   = "AWS/ApplicationELB"
              metric_name = "RequestCount"

              dimensions {
                name  = "LoadBalancer"
                value = aws_lb.this.arn_suffix
              }

              dimensions {
                name  = "TargetGroup"
                value = metrics.value.arn_suffix
              }
            }
          }
        }
      }

      metrics {
        id          = "tasks"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"

            dimensions {
              name  = "ClusterName"
              value = aws_ecs_cluster.this.name
            }

            dimensions {
              name  = "ServiceName"
              value = aws_ecs_service.this.name
            }
          }
        }
      }

      metrics {
        id          = "requests_per_task"
        label       = "Requests per task and minute"
        expression  = "(${join(" + ", [for colour in keys(aws_lb_target_group.this) : "FILL(${colour}, 0)"])}) / tasks"
        return_data = true
      }
    }
  }
}
