data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  name       = "${var.name}-media-jobs"
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.name

  artifacts_bucket_arn = "arn:${local.partition}:s3:::${var.artifacts_bucket}"

  # Only when a bucket's default encryption is the environment's key.
  use_key_through_s3 = [for arn in var.media_kms_key_arn[*] : {
    Sid       = "UseKeyThroughS3"
    Effect    = "Allow"
    Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource  = arn
    Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
  }]
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:How long logs are kept is each environment's choice (log_retention_days); they name people, so not longer than they help

  name              = "/${var.name}/media-jobs"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

# Outside the VPC: the jobs call AWS only, and S3 does the copying.
resource "aws_codebuild_project" "this" {
  name           = local.name
  description    = "Media jobs of a migration"
  service_role   = aws_iam_role.jobs.arn
  build_timeout  = 1440 # minutes; a run sets its own, shorter one
  queued_timeout = 60

  source {
    type      = "S3"
    location  = var.source_location
    buildspec = "codebuild/media-job.buildspec.yml"
  }

  artifacts {
    type = "NO_ARTIFACTS"
  }

  environment {
    type         = "LINUX_CONTAINER"
    image        = var.image
    compute_type = var.compute_type

    environment_variable {
      name  = "ENVIRONMENT"
      value = var.environment
    }
  }

  logs_config {
    cloudwatch_logs {
      group_name = aws_cloudwatch_log_group.this.name
    }
  }

  depends_on = [aws_iam_role_policy.jobs]
}
