variable "name" {
  type = string
}

variable "safe" {
  type = bool
}

resource "aws_s3_bucket" "this" {
  bucket        = var.name
  force_destroy = !var.safe
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = var.safe ? "Enabled" : "Suspended"
  }
}
