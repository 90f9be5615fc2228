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
  skip_destroy             = true # a deployment that is rolled back needs the revision before

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
        DATABASE_HOST                   = var.database.host
        DATABASE_PORT                   = tostring(var.database.port)
        DATABASE_NAME                   = var.database.name
        DATABASE_SSLMODE                = "verify-full"
        DATABASE_CERTIFICATE_BUNDLE_URL = var.database_certificate_bundle_url
        MEDIA_BUCKET                    = var.media_bucket
      }) : { name = name, value = value }
    ]

    secrets = [
      { name = "DATABASE_PASSWORD", valueFrom = "${var.database.application_secret_arn}:password::" },
      { name = "DATABASE_USERNAME", valueFrom = "${var.database.application_secret_arn}:username::" },
      { name = "DJANGO_SECRET_KEY", valueFrom = var.django_key_secret_arn },
    ]

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

  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.application_subnet_ids
    security_groups  = [aws_security_group.task.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = local.container
    container_port   = var.container_port
  }

  lifecycle {
    # Autoscaling moves it, and a migration sets it to 0 and back.
    ignore_changes = [desired_count]
  }

  depends_on = [
    aws_iam_role_policy.execution,
    aws_iam_role_policy.application_secret,
    aws_iam_role_policy.media,
    aws_lb_listener.http,
    aws_lb_listener.https,
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
