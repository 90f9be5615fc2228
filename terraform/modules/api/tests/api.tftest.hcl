mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  name                            = "know-me-staging"
  vpc_id                          = "vpc-1"
  public_subnet_ids               = ["subnet-1", "subnet-2"]
  application_subnet_ids          = ["subnet-3", "subnet-4"]
  image                           = "know-me-api:1"
  image_repository_arn            = null
  container_port                  = 8000
  cpu                             = 256
  memory                          = 512
  minimum_tasks                   = 1
  maximum_tasks                   = 4
  environment_variables           = { DJANGO_LOG_LEVEL = "INFO" }
  database_certificate_bundle_url = "https://example.com/bundle.pem"
  database = {
    host                   = "green.example.com"
    port                   = 5432
    name                   = "know_me"
    application_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:green-AbCdEf"
  }
  application_secret_arns = {
    blue  = "arn:aws:secretsmanager:us-east-1:123456789012:secret:blue-AbCdEf"
    green = "arn:aws:secretsmanager:us-east-1:123456789012:secret:green-AbCdEf"
  }
  media_bucket = "know-me-staging-media-green-123456789012"
  media_bucket_arns = {
    blue  = "arn:aws:s3:::know-me-staging-media-blue-123456789012"
    green = "arn:aws:s3:::know-me-staging-media-green-123456789012"
  }
  media_kms_key_arn     = null
  django_key_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:django-AbCdEf"
  listener_port         = 80
  certificate_arn       = null
  domain_name           = null
  allowed_cidr_blocks   = ["0.0.0.0/0"]
  access_logs_bucket    = null
  deletion_protection   = true
  log_retention_days    = 30
  kms_key_arn           = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "the_active_generation_drives_the_api" {
  assert {
    condition = { for variable in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment : variable.name => variable.value } == {
      DATABASE_HOST                   = "green.example.com"
      DATABASE_PORT                   = "5432"
      DATABASE_NAME                   = "know_me"
      DATABASE_SSLMODE                = "verify-full"
      DATABASE_CERTIFICATE_BUNDLE_URL = "https://example.com/bundle.pem"
      DJANGO_LOG_LEVEL                = "INFO"
      MEDIA_BUCKET                    = "know-me-staging-media-green-123456789012"
    }
    error_message = "The container's environment must point at the active generation, with its certificate verified."
  }

  assert {
    condition = { for secret in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets : secret.name => secret.valueFrom } == {
      DATABASE_USERNAME = "arn:aws:secretsmanager:us-east-1:123456789012:secret:green-AbCdEf:username::"
      DATABASE_PASSWORD = "arn:aws:secretsmanager:us-east-1:123456789012:secret:green-AbCdEf:password::"
      DJANGO_SECRET_KEY = "arn:aws:secretsmanager:us-east-1:123456789012:secret:django-AbCdEf"
    }
    error_message = "Role, password and key must come from Secrets Manager."
  }
}

run "tasks_may_read_the_secrets_of_the_environment_and_nothing_else" {
  assert {
    condition     = jsondecode(aws_iam_role_policy.application_secret["blue"].policy).Statement[0].Resource == "arn:aws:secretsmanager:us-east-1:123456789012:secret:blue-AbCdEf"
    error_message = "A rolled-back deployment must be able to read the old generation's secret."
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
    error_message = "A rolled-back deployment must be able to use the old generation's files, and no other bucket."
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

run "a_failed_deployment_goes_back" {
  assert {
    condition     = aws_ecs_service.this.deployment_circuit_breaker[0].enable && aws_ecs_service.this.deployment_circuit_breaker[0].rollback
    error_message = "The circuit breaker must roll back."
  }

  assert {
    condition     = aws_ecs_task_definition.this.skip_destroy
    error_message = "The revision before must stay usable."
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
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    domain_name     = "api.example.com"
  }

  assert {
    condition     = aws_lb_listener.http.default_action[0].type == "redirect" && aws_lb_listener.https[0].default_action[0].type == "forward"
    error_message = "HTTP must redirect to HTTPS."
  }

  assert {
    condition     = output.health_check_url == "https://api.example.com/status/"
    error_message = "The health check must use the name on the certificate."
  }
}

run "pulling_from_a_repository_needs_that_repository_only" {
  variables {
    image_repository_arn = "arn:aws:ecr:us-east-1:123456789012:repository/know-me-api"
  }

  assert {
    condition     = contains([for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Resource], "arn:aws:ecr:us-east-1:123456789012:repository/know-me-api")
    error_message = "Images may be pulled from the repository that is named."
  }
}
