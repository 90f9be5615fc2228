resource "aws_iam_role" "jobs" {
  name        = local.name
  description = "Media jobs of ${var.name}"

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

resource "aws_iam_role_policy" "jobs" {
  name = "run-jobs"
  role = aws_iam_role.jobs.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
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
          Sid      = "WriteLogs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = "${aws_cloudwatch_log_group.this.arn}:*"
        },
      ],
      local.use_key_through_s3,
    )
  })
}

# One policy per generation: a generation comes and goes without touching the others.
resource "aws_iam_role_policy" "jobs_media" {
  for_each = var.media

  name = "move-media-${each.key}"
  role = aws_iam_role.jobs.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ListMedia"
        Effect   = "Allow"
        Action   = ["s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketLocation"]
        Resource = each.value.bucket_arn
      },
      {
        Sid    = "SurveySettings"
        Effect = "Allow"
        Action = [
          "s3:GetBucketAcl", "s3:GetBucketObjectLockConfiguration", "s3:GetBucketOwnershipControls",
          "s3:GetBucketPublicAccessBlock", "s3:GetBucketRequestPayment", "s3:GetBucketVersioning",
          "s3:GetEncryptionConfiguration",
        ]
        Resource = each.value.bucket_arn
      },
      {
        Sid    = "ReadMedia"
        Effect = "Allow"
        Action = [
          "s3:GetObject", "s3:GetObjectAcl", "s3:GetObjectTagging", "s3:GetObjectVersion", "s3:GetObjectVersionTagging",
        ]
        Resource = "${each.value.bucket_arn}/*"
      },
      {
        # Into the active one as well: sentinels, and what a late writer left in the old one.
        Sid      = "WriteMedia"
        Effect   = "Allow"
        Action   = ["s3:PutObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload"]
        Resource = "${each.value.bucket_arn}/*"
      },
      {
        # Of what the app uses a job removes its own sentinels and nothing else.
        Sid      = "RemoveMedia"
        Effect   = "Allow"
        Action   = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
        Resource = "${each.value.bucket_arn}/${each.value.active ? ".know-me/*" : "*"}"
      },
      {
        Sid      = "HearChanges"
        Effect   = "Allow"
        Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
        Resource = each.value.changes_queue_arn
      },
    ]
  })
}
