data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id

  name    = "know-me-${var.environment}-media-${var.generation}"
  bucket  = "${local.name}-${local.account_id}"
  changes = "${local.name}-changes"
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:Who reads an object is CloudTrail's to record (data events), once per account; EventBridge has every change already
  #checkov:skip=CKV_AWS_144:Versions are kept and a migration copies the bucket whole; a second region is a decision about cost and law that no environment has taken
  #checkov:skip=CKV_AWS_145:S3's own key encrypts by default, so that static files can be public; media_encryption = aws:kms takes the environment's key
  #checkov:skip=CKV2_AWS_6:Lists are blocked always, public policies whenever media_public_static is false; else static/ alone is public

  bucket = local.bucket

  # Without it AWS refuses to delete a bucket that holds an object or an old version of one: BucketNotEmpty.
  force_destroy = !var.deletion_protection

  tags = { Generation = var.generation }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = var.encryption == "aws:kms"

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.encryption
      kms_master_key_id = var.encryption == "aws:kms" ? var.kms_key_arn : null
    }
  }
}

# Access lists are off: the bucket policy alone says who reads what.
resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  #checkov:skip=CKV_AWS_54:The policy opens static/ alone, and only where media_public_static asks for it
  #checkov:skip=CKV_AWS_56:The policy opens static/ alone, and only where media_public_static asks for it

  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = !var.public_static
  restrict_public_buckets = !var.public_static
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "OnlyTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }],
      [for statement in local.read_static : statement if var.public_static],
      [for statement in local.only_migrations_write : statement if !var.active],
    )
  })

  # While public policies are blocked, S3 refuses the one that opens static/.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

locals {
  read_static = [{
    Sid       = "EverybodyReadsStatic"
    Effect    = "Allow"
    Principal = "*"
    Action    = "s3:GetObject"
    Resource  = "${aws_s3_bucket.this.arn}/static/*"
  }]

  # A generation that the app does not use is written by migrations alone: a forgotten writer is refused instead of losing
  # its uploads. A run puts the same statement on the active bucket while the app is stopped.
  only_migrations_write = [{
    Sid       = "OnlyMigrationsWrite"
    Effect    = "Deny"
    Principal = "*"
    Action = [
      "s3:PutObject",
      "s3:PutObjectTagging",
      "s3:DeleteObject",
      "s3:DeleteObjectVersion",
      "s3:DeleteObjectTagging",
      "s3:RestoreObject",
    ]
    Resource  = "${aws_s3_bucket.this.arn}/*"
    Condition = { ArnNotLike = { "aws:PrincipalArn" = var.migration_principals } }
  }]
}

resource "aws_s3_bucket_cors_configuration" "this" {
  count = length(var.cors_origins) > 0 ? 1 : 0 # S3 knows no empty configuration

  bucket = aws_s3_bucket.this.id

  # The web app reads (fonts, images drawn on a canvas). It uploads through the API, never into the bucket.
  cors_rule {
    allowed_origins = var.cors_origins
    allowed_methods = ["GET", "HEAD"]
    allowed_headers = ["*"]
    expose_headers  = ["ETag", "Content-Length", "Content-Range"]
    max_age_seconds = 3600
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_version_days
    }

    # A delete marker that hides nothing any more.
    expiration {
      expired_object_delete_marker = true
    }
  }

  rule {
    id     = "unfinished-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

# What changes in the bucket while a run copies: S3 → EventBridge → queue. Events cost money, so nobody listens between runs.
resource "aws_s3_bucket_notification" "this" {
  bucket      = aws_s3_bucket.this.id
  eventbridge = true
}

resource "aws_cloudwatch_event_rule" "changes" {
  name        = local.changes
  description = "Changes of ${local.bucket}, while a migration listens"
  state       = "DISABLED"

  event_pattern = jsonencode({
    source      = ["aws.s3"]
    detail-type = ["Object Created", "Object Deleted", "Object Tags Added", "Object Tags Deleted"]
    detail      = { bucket = { name = [local.bucket] } }
  })

  lifecycle {
    # A run enables it and disables it again.
    ignore_changes = [state]
  }
}

resource "aws_cloudwatch_event_target" "changes" {
  rule      = aws_cloudwatch_event_rule.changes.name
  target_id = "queue"
  arn       = aws_sqs_queue.changes.arn
}

resource "aws_sqs_queue" "changes" {
  name                       = local.changes
  sqs_managed_sse_enabled    = true
  message_retention_seconds  = 1209600 # 14 days, the longest: a copy ahead may run for days before the app stops
  visibility_timeout_seconds = 300
  receive_wait_time_seconds  = 20 # an answer of "nothing" has then asked every server of the queue

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "ChangesOfTheBucket"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = "arn:${data.aws_partition.current.partition}:sqs:${data.aws_region.current.name}:${local.account_id}:${local.changes}"
      Condition = {
        ArnEquals    = { "aws:SourceArn" = aws_cloudwatch_event_rule.changes.arn }
        StringEquals = { "aws:SourceAccount" = local.account_id }
      }
    }]
  })
}
