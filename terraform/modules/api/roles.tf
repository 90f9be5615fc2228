locals {
  assume_by_tasks = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })

  pull_image = [
    {
      Sid      = "LogIn" # has no resource
      Effect   = "Allow"
      Action   = "ecr:GetAuthorizationToken"
      Resource = "*"
    },
    {
      Sid      = "PullImage"
      Effect   = "Allow"
      Action   = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
      Resource = var.image_repository_arns
    },
  ]
}

# What the app itself may do: use the media.
resource "aws_iam_role" "task" {
  name               = "${local.name}-task"
  description        = "The API's own permissions"
  assume_role_policy = local.assume_by_tasks
}

# One policy per generation: a generation comes and goes without touching the others. With each of them, because a
# migration and its way back change the bucket and no permission.
resource "aws_iam_role_policy" "media" {
  for_each = var.media_bucket_arns

  name = "use-media-${each.key}"
  role = aws_iam_role.task.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "UseFiles"
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject"]
          Resource = ["${each.value}/media/*", "${each.value}/static/*"]
        },
        {
          # Without it a file that does not exist answers 403 instead of 404.
          Sid      = "ListFiles"
          Effect   = "Allow"
          Action   = "s3:ListBucket"
          Resource = each.value
        },
      ],
      [for arn in var.media_kms_key_arn[*] : {
        Sid       = "UseKeyThroughS3"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = arn
        Condition = { StringEquals = { "kms:ViaService" = "s3.${data.aws_region.current.name}.amazonaws.com" } }
      }],
    )
  })
}

# What starts a task: image, secrets, logs.
resource "aws_iam_role" "execution" {
  name               = "${local.name}-execution"
  description        = "Starts tasks of the API"
  assume_role_policy = local.assume_by_tasks
}

resource "aws_iam_role_policy" "execution" {
  name = "start-tasks"
  role = aws_iam_role.execution.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "WriteLogs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = "${aws_cloudwatch_log_group.this.arn}:*"
        },
        {
          Sid      = "ReadSecrets"
          Effect   = "Allow"
          Action   = "secretsmanager:GetSecretValue"
          Resource = [var.application_secret_arn, var.django_key_secret_arn]
        },
        {
          Sid      = "ReadParameters"
          Effect   = "Allow"
          Action   = "ssm:GetParameters"
          Resource = var.media_bucket_parameter_arn
        },
        {
          Sid       = "DecryptSecrets"
          Effect    = "Allow"
          Action    = "kms:Decrypt"
          Resource  = var.kms_key_arn
          Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${data.aws_region.current.name}.amazonaws.com" } }
        },
      ],
      [for statement in local.pull_image : statement if length(var.image_repository_arns) > 0],
    )
  })
}
