data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  name       = "${var.name}-database-jobs"
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.name

  ec2 = "arn:${local.partition}:ec2:${local.region}:${local.account_id}"

  artifacts_bucket_arn = "arn:${local.partition}:s3:::${var.artifacts_bucket}"
  subnet_arns          = [for id in var.subnet_ids : "${local.ec2}:subnet/${id}"]
}

resource "aws_security_group" "this" {
  name        = local.name
  description = "Database jobs of ${var.name}"
  vpc_id      = var.vpc_id

  tags = { Name = local.name }
}

# AWS APIs, packages and the certificate bundle. The way to a database comes with the database.
resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.this.id
  description       = "HTTPS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:How long logs are kept is each environment's choice (log_retention_days); they name people, so not longer than they help

  name              = "/${var.name}/database-jobs"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_codebuild_project" "this" {
  name           = local.name
  description    = "Database jobs of a migration, inside the VPC"
  service_role   = aws_iam_role.this.arn
  build_timeout  = 1440 # minutes; a run sets its own, shorter one
  queued_timeout = 60

  source {
    type      = "S3"
    location  = var.source_location
    buildspec = "codebuild/database-job.buildspec.yml"
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

    environment_variable {
      name  = "CERTIFICATE_BUNDLE_URL"
      value = var.certificate_bundle_url
    }
  }

  vpc_config {
    vpc_id             = var.vpc_id
    subnets            = var.subnet_ids
    security_group_ids = [aws_security_group.this.id]
  }

  logs_config {
    cloudwatch_logs {
      group_name = aws_cloudwatch_log_group.this.name
    }
  }

  # CodeBuild checks at creation that the role may make network interfaces.
  depends_on = [aws_iam_role_policy.this]
}

resource "aws_iam_role" "this" {
  name        = local.name
  description = "Database jobs of ${var.name}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "codebuild.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "run-jobs"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadSource"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:GetObjectVersion"]
        Resource = "arn:${local.partition}:s3:::${var.source_location}"
      },
      {
        Sid      = "LocateSource"
        Effect   = "Allow"
        Action   = "s3:GetBucketLocation"
        Resource = "arn:${local.partition}:s3:::${split("/", var.source_location)[0]}"
      },
      {
        Sid      = "UseRunFolders"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
        Resource = "${local.artifacts_bucket_arn}/runs/*"
      },
      {
        Sid       = "ListRunFolders"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = local.artifacts_bucket_arn
        Condition = { StringLike = { "s3:prefix" = "runs/*" } }
      },
      {
        # A password is stored before the role gets it, and a repeated job takes up the one that is there.
        Sid      = "FillApplicationSecret"
        Effect   = "Allow"
        Action   = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"]
        Resource = var.application_secret_arn
      },
      {
        Sid       = "UseKeyThroughSecretsManager"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = var.kms_key_arn
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.amazonaws.com" } }
      },
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.this.arn}:*"
      },
      # https://docs.aws.amazon.com/codebuild/latest/userguide/auth-and-access-control-iam-identity-based-access-control.html
      # "Allow CodeBuild access to AWS services required to create a VPC network interface"
      {
        Sid    = "FindNetwork" # describing has no resources
        Effect = "Allow"
        Action = [
          "ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups",
          "ec2:DescribeSubnets", "ec2:DescribeVpcs",
        ]
        Resource = "*"
      },
      {
        Sid    = "MakeNetworkInterfaces"
        Effect = "Allow"
        Action = "ec2:CreateNetworkInterface"
        Resource = concat(local.subnet_arns, [
          "${local.ec2}:network-interface/*",
          "${local.ec2}:security-group/${aws_security_group.this.id}",
        ])
      },
      {
        Sid      = "RemoveNetworkInterfaces"
        Effect   = "Allow"
        Action   = "ec2:DeleteNetworkInterface"
        Resource = "${local.ec2}:network-interface/*"
      },
      {
        Sid      = "LendNetworkInterfaces"
        Effect   = "Allow"
        Action   = "ec2:CreateNetworkInterfacePermission"
        Resource = "${local.ec2}:network-interface/*"
        Condition = {
          StringEquals = { "ec2:AuthorizedService" = "codebuild.amazonaws.com" }
          ArnEquals    = { "ec2:Subnet" = local.subnet_arns }
        }
      },
    ]
  })
}

# One policy per generation: a generation comes and goes without touching the others.
resource "aws_iam_role_policy" "database" {
  for_each = var.databases

  name = "use-secrets-${each.key}"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "ReadMasterSecret"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
      Resource = each.value.master_secret_arn
    }]
  })
}
