mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  name             = "know-me-staging"
  environment      = "staging"
  source_location  = "assets/bundle.zip"
  artifacts_bucket = "know-me-staging-artifacts-123456789012"
  vpc_id           = "vpc-1"
  subnet_ids       = ["subnet-3", "subnet-4"]
  databases = {
    blue = { master_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:master-AbCdEf" }
  }
  application_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:application-AbCdEf"
  image                  = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
  compute_type           = "BUILD_GENERAL1_MEDIUM"
  certificate_bundle_url = "https://example.com/bundle.pem"
  log_retention_days     = 30
  kms_key_arn            = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "jobs_run_inside_the_vpc" {
  assert {
    condition     = aws_codebuild_project.this.name == "know-me-staging-database-jobs"
    error_message = "The runbooks start the project by this name."
  }

  assert {
    condition     = toset(aws_codebuild_project.this.vpc_config[0].subnets) == toset(["subnet-3", "subnet-4"])
    error_message = "Jobs run in the private subnets."
  }

  assert {
    condition     = alltrue([for variable in one(aws_codebuild_project.this.environment).environment_variable : contains(["ENVIRONMENT", "CERTIFICATE_BUNDLE_URL"], variable.name)])
    error_message = "No secret may be among the project's environment variables."
  }
}

run "only_describing_the_network_reaches_beyond_named_resources" {
  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid if jsonencode(statement.Resource) == jsonencode("*")] == ["FindNetwork"]
    error_message = "Every statement that can name its resources must."
  }

  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Resource if statement.Sid == "UseRunFolders"]) == "arn:aws:s3:::know-me-staging-artifacts-123456789012/runs/*"
    error_message = "Jobs use run folders and nothing else of the bucket."
  }
}

run "jobs_write_the_application_secret_only" {
  assert {
    condition = flatten([
      for policy in concat([aws_iam_role_policy.this.policy], [for each in aws_iam_role_policy.database : each.policy]) : [
        for statement in jsondecode(policy).Statement : statement.Resource if contains(flatten([statement.Action]), "secretsmanager:PutSecretValue")
      ]
    ]) == ["arn:aws:secretsmanager:us-east-1:123456789012:secret:application-AbCdEf"]
    error_message = "The master secret is RDS's to write."
  }
}
