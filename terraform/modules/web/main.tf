data "aws_caller_identity" "current" {}

locals {
  name   = "${var.name}-web"
  bucket = "${local.name}-${data.aws_caller_identity.current.account_id}"

  # Names of these files contain a hash of what is in them: they never change.
  hashed_files = ["/assets/*", "/static/*"]
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:Who reads an object is CloudTrail's to record (data events), once per account
  #checkov:skip=CKV_AWS_144:The pipeline can make every file again, in any region
  #checkov:skip=CKV_AWS_145:Everybody may read these files, through CloudFront; S3's own key encrypts them by default
  #checkov:skip=CKV2_AWS_62:Nobody listens: the release that writes the files invalidates what CloudFront keeps

  bucket = local.bucket

  # Without it AWS refuses to delete a bucket that holds an object or an old version of one: BucketNotEmpty.
  force_destroy = !var.deletion_protection
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

# S3's own keys: everybody may read these files, through CloudFront.
resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OnlyTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        # Without s3:ListBucket a file that does not exist answers 403; the distribution answers 403 and 404 alike.
        Sid       = "TheDistributionReads"
        Effect    = "Allow"
        Principal = { Service = "cloudfront.amazonaws.com" }
        Action    = "s3:GetObject"
        Resource  = "${aws_s3_bucket.this.arn}/*"
        Condition = { StringEquals = { "aws:SourceArn" = aws_cloudfront_distribution.this.arn } }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
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
