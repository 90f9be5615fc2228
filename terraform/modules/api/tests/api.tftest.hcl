mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  name                            = "know-me-staging"
  environment                     = "staging"
  secrets                         = {}
  secret_recovery_days            = 7
  email_identity_arn              = null
  vpc_id                          = "vpc-1"
  public_subnet_ids               = ["subnet-1", "subnet-2"]
  application_subnet_ids          = ["subnet-3", "subnet-4"]
  image                           = "know-me-api:1"
  image_repository_arns           = []
  container_port                  = 8000
  cpu                             = 256
  memory                          = 512
  minimum_tasks                   = 1
  maximum_tasks                   = 4
  requests_per_task               = 1000
  environment_variables           = { DJANGO_LOG_LEVEL = "INFO" }
  database_certificate_bundle_url = "https://example.com/bundle.pem"
  application_secret_arn          = "arn:aws:secretsmanager:us-east-1:123456789012:secret:application-AbCdEf"
  media_bucket_parameter_arn      = "arn:aws:ssm:us-east-1:123456789012:parameter/know-me/staging/media/bucket"
  media_bucket_arns = {
    blue  = "arn:aws:s3:::know-me-staging-media-blue-123456789012"
    green = "arn:aws:s3:::know-me-staging-media-green-123456789012"
  }
  media_kms_key_arn        = null
  django_key_secret_arn    = "arn:aws:secretsmanager:us-east-1:123456789012:secret:django-AbCdEf"
  listener_port            = 80
  test_listener_port       = null
  https                    = false
  certificate_arn          = null
  domain_name              = null
  allowed_cidr_blocks      = ["0.0.0.0/0"]
  test_allowed_cidr_blocks = []
  access_logs_bucket       = null
  deletion_protection      = true
  log_retention_days       = 30
  kms_key_arn              = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "tasks_read_the_stores_under_names_that_stay" {
  assert {
    condition = { for variable in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment : variable.name => variable.value } == {
      DATABASE_SSLMODE                = "verify-full"
      DATABASE_CERTIFICATE_BUNDLE_URL = "https://example.com/bundle.pem"
      DJANGO_LOG_LEVEL                = "INFO"
    }
    error_message = "No value of a store may be in a task definition: a migration would need a release."
  }

  assert {
    condition = { for secret in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets : secret.name => secret.valueFrom } == {
      DATABASE_HOST     = "arn:aws:secretsmanager:us-east-1:123456789012:secret:application-AbCdEf:host::"
      DATABASE_PORT     = "arn:aws:secretsmanager:us-east-1:123456789012:secret:application-AbCdEf:port::"
      DATABASE_NAME     = "arn:aws:secretsmanager:us-east-1:123456789012:secret:application-AbCdEf:dbname::"
      DATABASE_USERNAME = "arn:aws:secretsmanager:us-east-1:123456789012:secret:application-AbCdEf:username::"
      DATABASE_PASSWORD = "arn:aws:secretsmanager:us-east-1:123456789012:secret:application-AbCdEf:password::"
      DJANGO_SECRET_KEY = "arn:aws:secretsmanager:us-east-1:123456789012:secret:django-AbCdEf"
      MEDIA_BUCKET      = "arn:aws:ssm:us-east-1:123456789012:parameter/know-me/staging/media/bucket"
    }
    error_message = "Stores are read from the environment's secret and parameter when a task starts."
  }
}

run "tasks_may_read_the_names_of_the_stores_and_nothing_else" {
  assert {
    condition     = toset([for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Resource if statement.Sid == "ReadSecrets"][0]) == toset([var.application_secret_arn, var.django_key_secret_arn])
    error_message = "Starting a task reads the application secret and Django's key."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : [statement.Action, statement.Resource] if statement.Sid == "ReadParameters"] == [["ssm:GetParameters", var.media_bucket_parameter_arn]]
    error_message = "Starting a task reads the parameter that names the bucket."
  }

  assert {
    condition     = !contains([for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : jsonencode(statement.Resource)], jsonencode("*"))
    error_message = "Without an ECR repository no statement may reach beyond named resources."
  }
}

run "tasks_may_use_the_files_of_every_generation_and_nothing_else" {
  assert {
    condition = { for generation, policy in aws_iam_role_policy.media : generation => flatten(jsondecode(policy.policy).Statement[*].Resource) } == {
      for generation, arn in var.media_bucket_arns : generation => ["${arn}/media/*", "${arn}/static/*", arn]
    }
    error_message = "Tasks must be able to use the files of every generation, and no other bucket."
  }
}

run "tasks_use_the_key_of_the_media_through_s3_only" {
  variables {
    media_kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.media["blue"].policy).Statement : statement.Condition if statement.Sid == "UseKeyThroughS3"] == [{ StringEquals = { "kms:ViaService" = "s3.us-east-1.amazonaws.com" } }]
    error_message = "The key also encrypts secrets."
  }
}

run "releases_are_codedeploys" {
  assert {
    condition     = aws_ecs_service.this.deployment_controller[0].type == "CODE_DEPLOY" && length(aws_ecs_service.this.deployment_circuit_breaker) == 0
    error_message = "CodeDeploy releases and takes back; ECS allows no circuit breaker beside it."
  }

  assert {
    condition     = aws_ecs_task_definition.this.skip_destroy
    error_message = "The revision before must stay usable."
  }

  assert {
    condition     = aws_ssm_parameter.task_definition.name == "/know-me/staging/api/task-definition" && aws_ssm_parameter.task_definition.insecure_value == aws_ecs_task_definition.this.arn
    error_message = "A release starts from the revision that Terraform describes."
  }

  assert {
    condition     = aws_ecs_service.this.propagate_tags == "SERVICE"
    error_message = "Tasks carry the tags of their service."
  }
}

run "two_target_groups_change_places" {
  assert {
    condition     = { for colour, group in aws_lb_target_group.this : colour => [group.name, group.health_check[0].path] } == { blue = ["know-me-staging-api-blue", "/status/"], green = ["know-me-staging-api-green", "/status/"] }
    error_message = "Both are checked the same way and named by the contract."
  }

  assert {
    condition     = aws_lb_listener.production.port == 80 && aws_lb_listener.test.port == 8080
    error_message = "Without a certificate production traffic is on 80 and test traffic on 8080."
  }
}

run "the_longest_environment_has_names_that_elb_takes" {
  variables {
    name        = "know-me-sixteenletterslo"
    environment = "sixteenletterslo"
  }

  assert {
    condition     = alltrue([for group in aws_lb_target_group.this : length(group.name) <= 32 && startswith(group.name, "know-me-sixteenletter-")])
    error_message = "Names of target groups have at most 32 characters."
  }
}

run "nobody_reaches_the_test_traffic_unless_named" {
  variables {
    test_allowed_cidr_blocks = ["203.0.113.0/24"]
  }

  assert {
    condition     = { for name, rule in aws_vpc_security_group_ingress_rule.load_balancer : name => rule.from_port } == { "0.0.0.0/0:80" = 80, "203.0.113.0/24:8080" = 8080 }
    error_message = "What is not released yet is for those who test it."
  }
}

run "autoscaling_counts_the_requests_of_both_target_groups" {
  assert {
    condition = one([
      for metric in aws_appautoscaling_policy.requests.target_tracking_scaling_policy_configuration[0].customized_metric_specification[0].metrics : metric.expression if metric.return_data
    ]) == "(FILL(blue, 0) + FILL(green, 0)) / tasks"
    error_message = "A release moves the requests from one target group to the other."
  }

  assert {
    condition     = aws_appautoscaling_policy.cpu.target_tracking_scaling_policy_configuration[0].predefined_metric_specification[0].predefined_metric_type == "ECSServiceAverageCPUUtilization"
    error_message = "Autoscaling looks at the CPU, too."
  }
}

run "tasks_have_no_public_address" {
  assert {
    condition     = !aws_ecs_service.this.network_configuration[0].assign_public_ip && toset(aws_ecs_service.this.network_configuration[0].subnets) == toset(["subnet-3", "subnet-4"])
    error_message = "Tasks run in the application subnets without a public address."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.task.cidr_ipv4 == null
    error_message = "Only the load balancer reaches a task."
  }
}

run "the_health_check_names_the_port_when_it_is_not_the_usual_one" {
  variables {
    listener_port = 8080
  }

  assert {
    condition     = output.health_check_url == "http://pretended.us-east-1.elb.amazonaws.com:8080/status/"
    error_message = "The health check must go to the listener's port."
  }
}

run "with_a_certificate_http_only_redirects" {
  variables {
    https           = true
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    domain_name     = "api.example.com"
  }

  assert {
    condition     = aws_lb_listener.redirect[0].default_action[0].type == "redirect" && aws_lb_listener.redirect[0].port == 80
    error_message = "HTTP must redirect to HTTPS."
  }

  assert {
    condition     = aws_lb_listener.production.port == 443 && aws_lb_listener.test.port == 8443 && aws_lb_listener.production.protocol == "HTTPS" && aws_lb_listener.test.protocol == "HTTPS"
    error_message = "Production and test traffic are encrypted."
  }

  assert {
    condition     = output.health_check_url == "https://api.example.com/status/"
    error_message = "The health check must use the name on the certificate."
  }
}

run "pulling_from_a_repository_needs_that_repository_only" {
  variables {
    image_repository_arns = ["arn:aws:ecr:us-east-1:123456789012:repository/know-me-api"]
  }

  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Resource if statement.Sid == "PullImage"]) == ["arn:aws:ecr:us-east-1:123456789012:repository/know-me-api"]
    error_message = "Images may be pulled from the repository that is named."
  }
}

run "without_further_settings_nothing_further_is_allowed" {
  assert {
    condition     = length(aws_iam_role_policy.email) == 0 && length(aws_iam_role_policy.secrets) == 0 && length(aws_secretsmanager_secret.this) == 0
    error_message = "Mail and secrets are for those who ask for them."
  }
}

run "further_secrets_are_made_empty_and_read_by_the_container" {
  variables {
    secrets = { APPLE_SHARED_SECRET = "apple-shared-secret" }
  }

  assert {
    condition     = aws_secretsmanager_secret.this["APPLE_SHARED_SECRET"].name == "know-me/staging/api/apple-shared-secret" && aws_secretsmanager_secret.this["APPLE_SHARED_SECRET"].kms_key_id == var.kms_key_arn
    error_message = "A secret has the environment's name and key."
  }

  assert {
    condition     = { for secret in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets : secret.name => secret.valueFrom }["APPLE_SHARED_SECRET"] == "arn:aws:secretsmanager:us-east-1:123456789012:secret:pretended-AbCdEf"
    error_message = "The container reads it under the name of the variable."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.secrets[0].policy).Statement[0].Resource == ["arn:aws:secretsmanager:us-east-1:123456789012:secret:pretended-AbCdEf"]
    error_message = "What starts a task may read this secret."
  }
}

run "mail_is_sent_in_one_name_only" {
  variables {
    email_identity_arn = "arn:aws:ses:us-east-1:123456789012:identity/example.com"
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.email[0].policy).Statement : [statement.Action, statement.Resource]] == [[["ses:SendEmail", "ses:SendRawEmail"], "arn:aws:ses:us-east-1:123456789012:identity/example.com"]]
    error_message = "The API may not send in another identity's name."
  }
}
