mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  name                     = "know-me-staging"
  cluster_name             = "know-me-staging"
  service_name             = "know-me-staging-api"
  target_group_names       = ["know-me-staging-api-blue", "know-me-staging-api-green"]
  production_listener_arn  = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/know-me-staging-api/1/443"
  test_listener_arn        = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/know-me-staging-api/1/8443"
  task_role_arn            = "arn:aws:iam::123456789012:role/know-me-staging-api-task"
  execution_role_arn       = "arn:aws:iam::123456789012:role/know-me-staging-api-execution"
  hook_function            = "know-me-staging-start-schema-migration"
  deployment_config_name   = "CodeDeployDefault.ECSCanary10Percent5Minutes"
  termination_wait_minutes = 5
  alarm_names              = ["know-me-staging-api-errors"]
}

run "releases_take_turns_between_two_target_groups" {
  assert {
    condition     = output.deployment == { application = "know-me-staging-api", deployment_group = "know-me-staging-api" }
    error_message = "Pipeline and runbooks know the deployment group by this name."
  }

  assert {
    condition     = [for group in one(one(aws_codedeploy_deployment_group.this.load_balancer_info).target_group_pair_info).target_group : group.name] == ["know-me-staging-api-blue", "know-me-staging-api-green"]
    error_message = "The pair is blue and green."
  }

  assert {
    condition     = one(aws_codedeploy_deployment_group.this.deployment_style).deployment_type == "BLUE_GREEN"
    error_message = "CodeDeploy knows nothing but blue/green for ECS."
  }
}

run "a_release_is_rolled_back_when_it_fails_is_stopped_or_an_alarm_is_raised" {
  assert {
    condition     = one(aws_codedeploy_deployment_group.this.auto_rollback_configuration).enabled && toset(one(aws_codedeploy_deployment_group.this.auto_rollback_configuration).events) == toset(["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_REQUEST", "DEPLOYMENT_STOP_ON_ALARM"])
    error_message = "Nobody has to roll back by hand."
  }

  assert {
    condition     = toset(one(aws_codedeploy_deployment_group.this.alarm_configuration).alarms) == toset(["know-me-staging-api-errors"])
    error_message = "The alarms are those of the variable."
  }
}

run "without_alarms_nothing_waits_for_them" {
  variables {
    alarm_names = []
  }

  assert {
    condition     = length(aws_codedeploy_deployment_group.this.alarm_configuration) == 0 && !contains(one(aws_codedeploy_deployment_group.this.auto_rollback_configuration).events, "DEPLOYMENT_STOP_ON_ALARM")
    error_message = "CodeDeploy refuses an alarm rollback without alarms."
  }
}

run "one_target_group_is_refused" {
  command = plan

  variables {
    target_group_names = ["know-me-staging-api-blue"]
  }

  expect_failures = [var.target_group_names]
}

run "only_describing_reaches_beyond_named_resources" {
  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid if jsonencode(statement.Resource) == jsonencode("*")] == ["SeeLoadBalancing"]
    error_message = "Every statement that can name its resources must."
  }

  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Resource if statement.Sid == "CallTheHook"]) == "arn:aws:lambda:us-east-1:123456789012:function:know-me-staging-start-schema-migration"
    error_message = "CodeDeploy calls one function."
  }
}
