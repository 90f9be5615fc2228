locals {
  assume_by = { for service in ["codebuild", "codepipeline"] : service => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "${service}.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
    }]
  }) }

  codedeploy  = "arn:${local.partition}:codedeploy:${local.region}:${local.account_id}"
  application = "${local.codedeploy}:application:${var.deployment.application}"
  group       = "${local.codedeploy}:deploymentgroup:${var.deployment.application}/${var.deployment.deployment_group}"

  use_artifacts = [
    {
      Sid      = "UseArtifacts"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
      Resource = "${aws_s3_bucket.artifacts.arn}/*"
    },
    {
      Sid       = "UseKeyThroughS3"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = var.kms_key_arn
      Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
    },
  ]

  # By name: a role must not wait for the project that waits for the role.
  write_logs = { for name in ["api-image", "web", "web-release"] : name => {
    Sid      = "WriteLogs"
    Effect   = "Allow"
    Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    Resource = "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:/${var.name}/${name}:*"
  } }
}

resource "aws_iam_role" "api_image" {
  name               = "${var.name}-api-image"
  description        = "Builds the image of ${var.name}"
  assume_role_policy = local.assume_by.codebuild
}

resource "aws_iam_role_policy" "api_image" {
  name = "build-image"
  role = aws_iam_role.api_image.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.use_artifacts, [
      local.write_logs["api-image"],
      {
        Sid      = "LogIn" # has no resource
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*"
      },
      {
        Sid    = "PushImage"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability",
          "ecr:BatchGetImage",
          "ecr:CompleteLayerUpload",
          "ecr:DescribeImages",
          "ecr:GetDownloadUrlForLayer",
          "ecr:InitiateLayerUpload",
          "ecr:PutImage",
          "ecr:UploadLayerPart",
        ]
        Resource = aws_ecr_repository.api.arn
      },
      {
        Sid      = "FindTaskDefinition"
        Effect   = "Allow"
        Action   = "ssm:GetParameter"
        Resource = "arn:${local.partition}:ssm:${local.region}:${local.account_id}:parameter${var.task_definition_parameter_name}"
      },
      {
        Sid      = "ReadTaskDefinition" # has no resource
        Effect   = "Allow"
        Action   = "ecs:DescribeTaskDefinition"
        Resource = "*"
      },
    ])
  })
}

resource "aws_iam_role" "web" {
  for_each = local.web

  name               = "${var.name}-web-build"
  description        = "Builds the web app of ${var.name}"
  assume_role_policy = local.assume_by.codebuild
}

resource "aws_iam_role_policy" "web" {
  for_each = local.web

  name = "build-web"
  role = aws_iam_role.web[each.key].id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.use_artifacts, [local.write_logs["web"]])
  })
}

resource "aws_iam_role" "web_release" {
  for_each = local.web

  name               = "${var.name}-web-release"
  description        = "Releases the web app of ${var.name}"
  assume_role_policy = local.assume_by.codebuild
}

resource "aws_iam_role_policy" "web_release" {
  for_each = local.web

  name = "release-web"
  role = aws_iam_role.web_release[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.use_artifacts,
      [
        local.write_logs["web-release"],
        {
          Sid      = "ListFiles"
          Effect   = "Allow"
          Action   = "s3:ListBucket"
          Resource = each.value.bucket_arn
        },
        {
          Sid      = "WriteFiles"
          Effect   = "Allow"
          Action   = ["s3:PutObject", "s3:DeleteObject"]
          Resource = "${each.value.bucket_arn}/*"
        },
      ],
      [for arn in each.value.distribution_arn[*] : {
        Sid      = "Invalidate"
        Effect   = "Allow"
        Action   = ["cloudfront:CreateInvalidation", "cloudfront:GetInvalidation"]
        Resource = arn
      }],
    )
  })
}

resource "aws_iam_role" "pipeline" {
  name               = "${var.name}-pipeline"
  description        = "Pipeline of ${var.name}"
  assume_role_policy = local.assume_by.codepipeline
}

# https://docs.aws.amazon.com/codepipeline/latest/userguide/how-to-custom-role.html
resource "aws_iam_role_policy" "pipeline" {
  name = "release"
  role = aws_iam_role.pipeline.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.use_artifacts, [
      {
        Sid      = "SeeArtifacts"
        Effect   = "Allow"
        Action   = ["s3:GetBucketVersioning", "s3:GetBucketLocation", "s3:GetBucketAcl", "s3:ListBucket"]
        Resource = [aws_s3_bucket.artifacts.arn, "arn:${local.partition}:s3:::${local.tools_bucket}"]
      },
      {
        Sid      = "FetchTools"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging"]
        Resource = "arn:${local.partition}:s3:::${var.tools_location}"
      },
      {
        Sid      = "FetchSources"
        Effect   = "Allow"
        Action   = ["codestar-connections:UseConnection", "codeconnections:UseConnection"]
        Resource = local.connection_arn
      },
      {
        Sid      = "Build"
        Effect   = "Allow"
        Action   = ["codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds"]
        Resource = [for project in aws_codebuild_project.this : project.arn]
      },
      {
        Sid      = "Deploy"
        Effect   = "Allow"
        Action   = ["codedeploy:CreateDeployment", "codedeploy:GetDeployment", "codedeploy:StopDeployment"]
        Resource = local.group
      },
      {
        Sid      = "RegisterRelease"
        Effect   = "Allow"
        Action   = ["codedeploy:GetApplication", "codedeploy:GetApplicationRevision", "codedeploy:RegisterApplicationRevision"]
        Resource = local.application
      },
      {
        Sid      = "SeeTrafficShifting"
        Effect   = "Allow"
        Action   = "codedeploy:GetDeploymentConfig"
        Resource = "${local.codedeploy}:deploymentconfig:${var.deployment_config_name}"
      },
      {
        Sid      = "RegisterTaskDefinition"
        Effect   = "Allow"
        Action   = ["ecs:RegisterTaskDefinition", "ecs:TagResource"]
        Resource = "arn:${local.partition}:ecs:${local.region}:${local.account_id}:task-definition/${var.task_definition_family}:*"
      },
      {
        Sid       = "PassTheTasksRoles"
        Effect    = "Allow"
        Action    = "iam:PassRole"
        Resource  = [var.task_role_arn, var.execution_role_arn]
        Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      },
    ])
  })
}
