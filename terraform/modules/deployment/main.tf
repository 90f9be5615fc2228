data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  name       = "${var.name}-api"
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.name

  # arn:…:loadbalancer/app/<name>/<id> and listener/app/<name>/<id>/<id> share their end.
  listener_arns = distinct([var.production_listener_arn, var.test_listener_arn])
  rule_arns     = [for arn in local.listener_arns : "${replace(arn, ":listener/", ":listener-rule/")}/*"]
  hook_arn      = "arn:${local.partition}:lambda:${local.region}:${local.account_id}:function:${var.hook_function}"
}

resource "aws_codedeploy_app" "this" {
  name             = local.name
  compute_platform = "ECS"
}

resource "aws_codedeploy_deployment_group" "this" {
  app_name               = aws_codedeploy_app.this.name
  deployment_group_name  = local.name
  deployment_config_name = var.deployment_config_name
  service_role_arn       = aws_iam_role.this.arn

  deployment_style {
    deployment_option = "WITH_TRAFFIC_CONTROL"
    deployment_type   = "BLUE_GREEN"
  }

  blue_green_deployment_config {
    deployment_ready_option {
      action_on_timeout = "CONTINUE_DEPLOYMENT"
    }

    # Until then traffic goes back to the tasks that still run, within seconds.
    terminate_blue_instances_on_deployment_success {
      action                           = "TERMINATE"
      termination_wait_time_in_minutes = var.termination_wait_minutes
    }
  }

  ecs_service {
    cluster_name = var.cluster_name
    service_name = var.service_name
  }

  load_balancer_info {
    target_group_pair_info {
      prod_traffic_route {
        listener_arns = [var.production_listener_arn]
      }

      test_traffic_route {
        listener_arns = [var.test_listener_arn]
      }

      dynamic "target_group" {
        for_each = var.target_group_names

        content {
          name = target_group.value
        }
      }
    }
  }

  auto_rollback_configuration {
    enabled = true
    events  = concat(["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_REQUEST"], [for event in ["DEPLOYMENT_STOP_ON_ALARM"] : event if length(var.alarm_names) > 0])
  }

  dynamic "alarm_configuration" {
    for_each = length(var.alarm_names) > 0 ? [var.alarm_names] : []

    content {
      enabled                   = true
      alarms                    = alarm_configuration.value
      ignore_poll_alarm_failure = false
    }
  }

  # CodeDeploy looks at service and load balancer with the role when the group is made.
  depends_on = [aws_iam_role_policy.this]
}

resource "aws_iam_role" "this" {
  name        = "${local.name}-deployment"
  description = "Puts releases of ${local.name} in place"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "codedeploy.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
    }]
  })
}

# AWSCodeDeployRoleForECS, on the things of this environment:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/codedeploy_IAM_role.html
resource "aws_iam_role_policy" "this" {
  name = "deploy"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid    = "PutTaskSetsInPlace"
          Effect = "Allow"
          Action = ["ecs:DescribeServices", "ecs:CreateTaskSet", "ecs:UpdateServicePrimaryTaskSet", "ecs:DeleteTaskSet"]
          Resource = [
            "arn:${local.partition}:ecs:${local.region}:${local.account_id}:service/${var.cluster_name}/${var.service_name}",
            "arn:${local.partition}:ecs:${local.region}:${local.account_id}:task-set/${var.cluster_name}/${var.service_name}/*",
          ]
        },
        {
          Sid    = "SeeLoadBalancing" # describing has no resources
          Effect = "Allow"
          Action = [
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeListeners",
            "elasticloadbalancing:DescribeRules",
          ]
          Resource = "*"
        },
        {
          Sid      = "ShiftTraffic"
          Effect   = "Allow"
          Action   = ["elasticloadbalancing:ModifyListener", "elasticloadbalancing:ModifyRule"]
          Resource = concat(local.listener_arns, local.rule_arns)
        },
        {
          Sid      = "CallTheHook"
          Effect   = "Allow"
          Action   = "lambda:InvokeFunction"
          Resource = local.hook_arn
        },
        {
          Sid       = "PassTheTasksRoles"
          Effect    = "Allow"
          Action    = "iam:PassRole"
          Resource  = [var.task_role_arn, var.execution_role_arn]
          Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
        },
      ],
      [for names in [var.alarm_names] : {
        Sid      = "SeeAlarms"
        Effect   = "Allow"
        Action   = "cloudwatch:DescribeAlarms"
        Resource = [for name in names : "arn:${local.partition}:cloudwatch:${local.region}:${local.account_id}:alarm:${name}"]
      } if length(names) > 0],
    )
  })
}
