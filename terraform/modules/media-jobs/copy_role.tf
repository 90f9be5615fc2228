# What S3 Batch Operations acts with:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-iam-role-policies.html
resource "aws_iam_role" "copy" {
  name        = "${var.name}-media-copy"
  description = "S3 Batch Operations of ${var.name}: copies media"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "batchoperations.s3.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "copy" {
  name = "use-run-folders"
  role = aws_iam_role.copy.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "ReadManifests"
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:GetObjectVersion"]
          Resource = "${local.artifacts_bucket_arn}/runs/*/media/*"
        },
        {
          # Completion reports, and the manifests that a job makes itself.
          Sid      = "WriteReports"
          Effect   = "Allow"
          Action   = "s3:PutObject"
          Resource = "${local.artifacts_bucket_arn}/runs/*/media/*"
        },
        {
          Sid      = "LocateRunFolders"
          Effect   = "Allow"
          Action   = "s3:GetBucketLocation"
          Resource = local.artifacts_bucket_arn
        },
      ],
      local.use_key_through_s3,
    )
  })
}

# One policy per generation: a generation comes and goes without touching the others.
resource "aws_iam_role_policy" "copy_media" {
  for_each = var.media

  name = "copy-media-${each.key}"
  role = aws_iam_role.copy.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          # S3 lists a bucket for a job without a manifest by an inventory of its own.
          Sid      = "ListMedia"
          Effect   = "Allow"
          Action   = ["s3:ListBucket", "s3:GetBucketLocation", "s3:PutInventoryConfiguration"]
          Resource = each.value.bucket_arn
        },
        {
          Sid      = "ReadMedia"
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion", "s3:GetObjectVersionTagging"]
          Resource = "${each.value.bucket_arn}/*"
        },
      ],
      # Never over what the app uses.
      [for bucket_arn in [each.value.bucket_arn] : {
        Sid      = "WriteMedia"
        Effect   = "Allow"
        Action   = ["s3:PutObject", "s3:PutObjectTagging"]
        Resource = "${bucket_arn}/*"
      } if !each.value.active],
    )
  })
}
