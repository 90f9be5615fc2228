output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.bucket
}

output "bucket_arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}

output "changes_queue_arn" {
  description = "ARN of the queue of changes."
  value       = aws_sqs_queue.changes.arn
}

output "manifest" {
  description = "The generation as the manifest shows it."
  value = {
    generation        = var.generation
    bucket            = aws_s3_bucket.this.bucket
    changes_rule      = aws_cloudwatch_event_rule.changes.name
    changes_queue_url = aws_sqs_queue.changes.url
  }
}
