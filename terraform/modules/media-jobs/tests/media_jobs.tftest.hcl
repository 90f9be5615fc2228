mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  name             = "know-me-staging"
  environment      = "staging"
  source_location  = "assets/bundle.zip"
  artifacts_bucket = "know-me-staging-artifacts-123456789012"
  media = {
    blue = {
      bucket_arn        = "arn:aws:s3:::know-me-staging-media-blue-123456789012"
      changes_queue_arn = "arn:aws:sqs:us-east-1:123456789012:know-me-staging-media-blue-changes"
      active            = true
    }
    green = {
      bucket_arn        = "arn:aws:s3:::know-me-staging-media-green-123456789012"
      changes_queue_arn = "arn:aws:sqs:us-east-1:123456789012:know-me-staging-media-green-changes"
      active            = false
    }
  }
  media_kms_key_arn  = null
  image              = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
  compute_type       = "BUILD_GENERAL1_MEDIUM"
  log_retention_days = 30
  kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "jobs_run_outside_the_vpc" {
  assert {
    condition     = aws_codebuild_project.this.name == "know-me-staging-media-jobs" && one(aws_codebuild_project.this.source).buildspec == "codebuild/media-job.buildspec.yml"
    error_message = "The runbooks start the project by this name."
  }

  assert {
    condition     = length(aws_codebuild_project.this.vpc_config) == 0
    error_message = "A network interface would cost minutes and a NAT gateway's price per gigabyte."
  }

  assert {
    condition     = [for variable in one(aws_codebuild_project.this.environment).environment_variable : variable.name] == ["ENVIRONMENT"]
    error_message = "Everything else comes with the run."
  }
}

run "every_statement_names_its_resources" {
  assert {
    condition = !contains(flatten([
      for policy in concat([aws_iam_role_policy.jobs, aws_iam_role_policy.copy], values(aws_iam_role_policy.jobs_media), values(aws_iam_role_policy.copy_media)) :
      jsondecode(policy.policy).Statement[*].Resource
    ]), "*")
    error_message = "Neither role may reach beyond this environment."
  }

  assert {
    condition     = !strcontains(jsonencode([aws_iam_role_policy.jobs_media["green"].policy, aws_iam_role_policy.copy_media["green"].policy]), "media-blue")
    error_message = "A generation's policy is about that generation, so that it comes and goes with it."
  }
}

run "what_the_app_uses_is_neither_overwritten_nor_emptied" {
  assert {
    condition     = !strcontains(aws_iam_role_policy.copy_media["blue"].policy, "s3:PutObject")
    error_message = "Batch Operations copies into candidates only."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.jobs_media["blue"].policy).Statement : statement.Resource if contains(flatten([statement.Action]), "s3:DeleteObject")] == ["arn:aws:s3:::know-me-staging-media-blue-123456789012/.know-me/*"]
    error_message = "Of the active bucket a job removes its own sentinels only."
  }
}

run "a_candidate_is_filled_and_put_right" {
  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.copy_media["green"].policy).Statement : statement.Resource if contains(flatten([statement.Action]), "s3:PutObject")] == ["arn:aws:s3:::know-me-staging-media-green-123456789012/*"]
    error_message = "Batch Operations writes into the candidate."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.jobs_media["green"].policy).Statement : statement.Resource if contains(flatten([statement.Action]), "s3:DeleteObject")] == ["arn:aws:s3:::know-me-staging-media-green-123456789012/*"]
    error_message = "Jobs remove from the candidate what was deleted meanwhile."
  }
}

run "batch_operations_sees_the_media_folders_of_runs_only" {
  assert {
    condition     = alltrue([for statement in jsondecode(aws_iam_role_policy.copy.policy).Statement : contains(["arn:aws:s3:::know-me-staging-artifacts-123456789012/runs/*/media/*", "arn:aws:s3:::know-me-staging-artifacts-123456789012"], statement.Resource)])
    error_message = "Dumps and plans are not its business."
  }

  assert {
    condition     = one(jsondecode(aws_iam_role.copy.assume_role_policy).Statement).Principal.Service == "batchoperations.s3.amazonaws.com" && one(jsondecode(aws_iam_role.copy.assume_role_policy).Statement).Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "Only jobs of this account may act with it."
  }
}

run "the_key_of_the_media_is_used_through_s3_only" {
  variables {
    media_kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition = alltrue([for policy in [aws_iam_role_policy.jobs.policy, aws_iam_role_policy.copy.policy] :
    [for statement in jsondecode(policy).Statement : statement.Condition if statement.Sid == "UseKeyThroughS3"] == [{ StringEquals = { "kms:ViaService" = "s3.us-east-1.amazonaws.com" } }]])
    error_message = "The key also encrypts secrets."
  }
}

run "without_a_key_of_the_media_no_key_is_used" {
  assert {
    condition     = !strcontains(aws_iam_role_policy.jobs.policy, "kms:") && !strcontains(aws_iam_role_policy.copy.policy, "kms:")
    error_message = "S3's own keys need no permission."
  }
}
