output "bucket" {
  description = "Bucket of the web app's files."
  value       = aws_s3_bucket.this.bucket
}

output "bucket_arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}

output "distribution_id" {
  description = "Id of the distribution, whose cache a release invalidates."
  value       = aws_cloudfront_distribution.this.id
}

output "distribution_arn" {
  description = "ARN of the distribution."
  value       = aws_cloudfront_distribution.this.arn
}

output "distribution" {
  description = "Where the web app's name leads to."
  value = {
    dns_name = aws_cloudfront_distribution.this.domain_name
    zone_id  = aws_cloudfront_distribution.this.hosted_zone_id
  }
}

output "url" {
  description = "Where the web app answers."
  value       = "https://${coalesce(var.domain_name, aws_cloudfront_distribution.this.domain_name)}"
}
