mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  environment = "staging"
  document = {
    cluster          = { name = "know-me-staging", arn = "arn:cluster" }
    services         = [{ name = "know-me-staging-api", cluster = "know-me-staging", container = "api", task_definition_family = "know-me-staging-api" }]
    scalable_targets = [{ service_namespace = "ecs", resource_id = "service/know-me-staging/know-me-staging-api", scalable_dimension = "ecs:service:DesiredCount" }]
    rules            = []
    schedules        = []
    pipelines        = []
    deployments      = [{ application = "know-me-staging-api", deployment_group = "know-me-staging-api" }]
    database         = { active = "blue", generations = {} }
    media = {
      active = "blue"
      generations = { blue = {
        generation        = "blue"
        bucket            = "know-me-staging-media-blue-123456789012"
        changes_rule      = "know-me-staging-media-blue-changes"
        changes_queue_url = "https://sqs.us-east-1.amazonaws.com/123456789012/know-me-staging-media-blue-changes"
      } }
      copy_role_arn        = "arn:copy"
      migration_principals = ["arn:copy", "arn:jobs"]
      file_columns         = [{ table = "public.know_me_photo", column = "file", prefix = "media/" }]
    }
    builds           = { database_jobs = "know-me-staging-database-jobs", media_jobs = "know-me-staging-media-jobs" }
    health_check_url = "http://example.com/status/"
    web_url          = "https://app.example.com"
    alarm_arns       = ["arn:alarm"]
    topic_arns       = ["arn:topic"]
  }
}

run "the_manifest_is_the_contracts_document" {
  command = plan

  assert {
    condition     = aws_ssm_parameter.manifest.name == "/know-me/staging/manifest"
    error_message = "The runbooks look for it there."
  }

  assert {
    condition = jsondecode(aws_ssm_parameter.manifest.insecure_value) == merge({
      version     = 1
      environment = "staging"
      region      = "us-east-1"
      account_id  = "123456789012"
    }, jsondecode(jsonencode(var.document)))
    error_message = "The manifest must hold the document and where it belongs, and nothing else."
  }
}
